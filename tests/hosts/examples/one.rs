use redhanded_hosts::clients::*;
use redhanded_hosts::faults::*;
use redhanded_hosts::names;
#[tokio::main]
async fn main() {
    let (b, r) = redhanded::test_util::builder("x");
    let rh = b.install().unwrap();
    let c = Clients::new();
    let which = std::env::args().nth(1).unwrap();
    let (f, w) = match which.as_str() {
        "syn" => (Fault::FullBacklog, Way::Reqwest),
        "synh" => (Fault::FullBacklog, Way::Hyper),
        _ => (Fault::BodyStops, Way::Reqwest),
    };
    let a = start(f, false, false).await.unwrap();
    names::set("x.hosts.test", &[a]);
    let cc = c.clone();
    let j = job(&rh, "x", async move {
        cc.ask(w, "x.hosts.test", a.port(), false).await
    });
    tokio::task::spawn_blocking(move || {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        for x in r.reports() {
            println!("{}", serde_json::to_string(&*x).unwrap());
        }
    })
    .await
    .unwrap();
    j.abort();
}
