use redhanded_hosts::clients::*;
use redhanded_hosts::faults::*;
use redhanded_hosts::names;
#[tokio::main(worker_threads = 2)]
async fn main() {
    let (b, r) = redhanded::test_util::builder("x");
    let rh = b.install().unwrap();
    let c = Clients::new();
    for (i, f) in [Fault::AcceptThenSilence, Fault::HalfAHead, Fault::BodyStops]
        .into_iter()
        .enumerate()
    {
        let h = format!("x{i}.hosts.test");
        let a = start(f, false, false).await.unwrap();
        names::set(&h, &[a]);
        let cc = c.clone();
        let hh = h.clone();
        let j = job(&rh, &h, async move {
            cc.ask(Way::Reqwest, &hh, a.port(), false).await
        });
        let r = r.clone();
        tokio::task::spawn_blocking(move || {
            std::thread::sleep(std::time::Duration::from_millis(1000));
            for x in r.reports() {
                if x.request
                    .as_ref()
                    .is_some_and(|q| q.path == h || q.route.as_deref() == Some(&h))
                {
                    let v = x.verdict.clone();
                    println!(
                        "{} {:?} {:?} {:?}\n  {}",
                        x.event.as_str(),
                        f,
                        v.as_ref().map(|v| v.class),
                        v.as_ref().and_then(|v| v.peer.clone()).and_then(|p| p.name),
                        v.map(|v| v.cause).unwrap_or_default()
                    );
                }
            }
        })
        .await
        .unwrap();
        j.abort();
    }
}
