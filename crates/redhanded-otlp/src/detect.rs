//! What the process can find out about where it runs: the resource detectors of OpenTelemetry for host, process and
//! container. Kubernetes tells its own by `OTEL_RESOURCE_ATTRIBUTES`, and the collector can add more.

use crate::{ids, names};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

/// What is found, by attribute name. Command lines and paths are left out: they may have secrets in them.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, String)> {
    let container = container();
    // The image's machine id would be that of every container made of it.
    let host = container.is_none().then(machine).flatten();
    let runtime = option_env!("REDHANDED_RUSTC").map(str::to_owned);
    [
        (names::HOST_ID, host),
        (names::HOST_ARCH, Some(arch().to_owned())),
        (
            names::OS_TYPE,
            Some(std::env::consts::OS.replace("macos", "darwin")),
        ),
        (names::PROCESS_EXECUTABLE_NAME, executable()),
        (
            names::PROCESS_RUNTIME_NAME,
            runtime.is_some().then(|| "rustc".to_owned()),
        ),
        (names::PROCESS_RUNTIME_VERSION, runtime),
        (names::CONTAINER_ID, container),
        (names::SERVICE_INSTANCE_ID, Some(instance().to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// A random UUID (version 4), as the conventions recommend where nobody said: one for all exporters of the process.
fn instance() -> &'static str {
    static INSTANCE: LazyLock<String> = LazyLock::new(|| {
        let (high, low) = (ids::random(), ids::random());
        let [time, version, variant] = [
            high >> 16,
            (high & 0x0fff) | 0x4000,
            ((low >> 48) & 0x3fff) | 0x8000,
        ];
        let (time_low, time_mid) = (time >> 16, time & 0xffff);
        let node = low & 0xffff_ffff_ffff;
        format!("{time_low:08x}-{time_mid:04x}-{version:04x}-{variant:04x}-{node:012x}")
    });
    &INSTANCE
}

fn executable() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    // What Linux says of a file that was replaced while it runs.
    Some(name.trim_end_matches(" (deleted)").to_owned())
}

/// In the words of the conventions.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "x86",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn machine() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .into_iter()
        .filter_map(|path| read(Path::new(path)))
        .map(|id| id.trim().to_owned())
        .find(|id| id.len() == 32 && is_hex(id))
}

fn container() -> Option<String> {
    let by_v1 = read(Path::new("/proc/self/cgroup")).and_then(|text| of_cgroup(&text));
    by_v1.or_else(|| read(Path::new("/proc/self/mountinfo")).and_then(|text| of_mountinfo(&text)))
}

/// cgroup v1 (and v2 without a namespace of its own): the last part of a path is the id, perhaps with the name of
/// the runtime about it, as in `docker-<id>.scope`.
fn of_cgroup(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let last = path.rsplit('/').next()?;
        let last = last.strip_suffix(".scope").unwrap_or(last);
        let last = last.rsplit([':', '-']).next()?;
        is_id(last).then(|| last.to_owned())
    })
}

/// cgroup v2 in a namespace of its own: only the files that the runtime mounts for the container tell, such as
/// `/var/lib/docker/containers/<id>/hostname`.
fn of_mountinfo(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        // podman mounts them from a folder of that name too.
        if ![
            "/etc/hostname",
            "/etc/hosts",
            "/etc/resolv.conf",
            "/run/.containerenv",
        ]
        .contains(&at)
        {
            return None;
        }
        root.split('/').find(|part| is_id(part)).map(str::to_owned)
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A small file, as far as it is text.
fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(256 * 1024).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f2a8a5b1c0d4e6f8a9b0c1d2e3f405162738495a6b7c8d9e0f1a2b3c4d5e6f7";

    #[test]
    fn containers_are_found_in_cgroups_of_both_versions() {
        for path in [
            format!("12:memory:/docker/{ID}"),
            format!("1:name=systemd:/system.slice/docker-{ID}.scope"),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            format!("5:cpu:/kubepods/besteffort/pod6f/{ID}"),
            format!("1:cpuset:/kubepods.slice/pod1:cri-containerd:{ID}"),
            format!("0::/machine.slice/libpod-{ID}.scope"),
        ] {
            let text = format!("11:pids:/user.slice\n{path}\n");
            assert_eq!(of_cgroup(&text).as_deref(), Some(ID), "{path}");
        }
        for none in [
            "",
            "0::/",
            "0::/user.slice/session-2.scope",
            "garbage",
            "1:cpu:/docker/beef",
        ] {
            assert_eq!(of_cgroup(none), None, "{none}");
        }
    }

    #[test]
    fn containers_are_found_by_what_is_mounted_for_them() {
        let docker = format!(
            "700 690 0:50 / / rw - overlay overlay rw\n\
             715 700 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw"
        );
        assert_eq!(of_mountinfo(&docker).as_deref(), Some(ID));
        let podman = format!(
            "9 8 0:1 /containers/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw"
        );
        assert_eq!(of_mountinfo(&podman).as_deref(), Some(ID));
        // A host that looks at a container's files is none.
        let host =
            format!("9 8 0:1 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw");
        for none in [
            host.as_str(),
            "",
            "1 2 3",
            "9 8 0:1 /short/hostname /etc/hostname rw",
        ] {
            assert_eq!(of_mountinfo(none), None, "{none}");
        }
    }

    #[test]
    fn the_process_knows_its_name_and_compiler() {
        let all: std::collections::HashMap<_, _> = all().collect();
        assert!(all[names::PROCESS_EXECUTABLE_NAME].starts_with("redhanded_otlp-"));
        assert_eq!(all[names::PROCESS_RUNTIME_NAME], "rustc");
        assert!(all[names::PROCESS_RUNTIME_VERSION].starts_with("1."));
        let instance = &all[names::SERVICE_INSTANCE_ID];
        let parts: Vec<usize> = instance.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{instance}");
        assert!(instance[14..].starts_with('4'), "{instance}");
        assert!("89ab".contains(&instance[19..20]), "{instance}");
        assert_eq!(instance, super::instance(), "one a process");
        assert_eq!(all[names::OS_TYPE], std::env::consts::OS);
        assert!(!(all.contains_key(names::HOST_ID) && all.contains_key(names::CONTAINER_ID)));
    }
}
