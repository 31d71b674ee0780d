//! How much memory a search may take when nobody said: a share of what the machine, the control group and the limits of
//! the process leave.
//!
//! To run into any of those limits loses everything that was found: the process is killed, or aborts. To stop before is
//! *incomplete*, with all that is known.

use std::fs;
use std::path::Path;

/// Of what there is: the rest is for what a search does not count (the analysis of its graph, stacks, what the allocator
/// wastes) and for other processes.
const SHARE: (u64, u64) = (3, 4);

/// What small searches need. Where less is left, running into the limit is worth a try.
const LEAST: u64 = 64 << 20;

/// Bytes that a search may hold, without swapping and within the limits of the process. None where the system does not
/// tell; then there is no default bound.
pub fn share() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let left = [
        available(&read("/proc/meminfo")),
        of_group(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")),
        address_space(&read("/proc/self/limits"), &read("/proc/self/status")),
    ];
    let left = left.into_iter().flatten().min()?;
    Some((left / SHARE.1 * SHARE.0).max(LEAST))
}

/// `MemAvailable` of /proc/meminfo.
fn available(meminfo: &str) -> Option<u64> {
    kib(meminfo, "MemAvailable:")
}

/// The bytes of a line in kB of a file below /proc.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// What the control group of the process, or one that it is in, has left: version 2, or the memory controller of
/// version 1.
fn of_group(cgroup: &str, root: &Path) -> Option<u64> {
    let groups = cgroup.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        match controllers {
            "" => Some((root.to_path_buf(), path, "memory.max", "memory.current")),
            _ if controllers.split(',').any(|c| c == "memory") => Some((
                root.join("memory"),
                path,
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            )),
            _ => None,
        }
    });
    let left = |(root, path, limit, usage): (std::path::PathBuf, &str, &str, &str)| {
        let number = |folder: &Path, name: &str| {
            let text = fs::read_to_string(folder.join(name)).ok()?;
            text.trim().parse::<u64>().ok()
        };
        let own = root.join(path);
        // Inside a container the path may be one of the machine outside: its root is the container's group then.
        let groups = own
            .ancestors()
            .take_while(|folder| folder.starts_with(&root));
        groups
            .filter_map(|folder| {
                let limit = number(folder, limit)?;
                let cached =
                    cached(&fs::read_to_string(folder.join("memory.stat")).unwrap_or_default());
                let used = number(folder, usage).unwrap_or(0).saturating_sub(cached);
                // Version 1 writes a huge number for no limit: then it is not the least.
                Some(limit.saturating_sub(used))
            })
            .min()
    };
    groups.filter_map(left).min()
}

/// Bytes of a group that are copies of files: the kernel takes them back when somebody needs them.
fn cached(stat: &str) -> u64 {
    let of = |name: &str| {
        let line = stat
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse::<u64>().ok()
    };
    let files = [
        ["total_inactive_file", "total_active_file"],
        ["inactive_file", "active_file"],
    ];
    let sum = |names: &[&str; 2]| names.iter().filter_map(|n| of(n)).sum();
    files.iter().map(sum).find(|n| *n > 0).unwrap_or(0)
}

/// What `ulimit -v` leaves. None if there is no such limit.
fn address_space(limits: &str, status: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max address space"))?;
    let soft: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(soft.saturating_sub(kib(status, "VmSize:").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_and_limits_are_read_in_bytes() {
        assert_eq!(
            available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(available("MemTotal: 9 kB\n"), None);
        let limits =
            |soft: &str| format!("Max address space         {soft}    unlimited   bytes\n");
        let status = "VmSize:\t    1024 kB\n";
        assert_eq!(address_space(&limits("3145728"), status), Some(2 << 20));
        assert_eq!(address_space(&limits("unlimited"), status), None);
    }

    #[test]
    fn the_tightest_group_on_the_way_to_the_root_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, max: &str, current: &str| {
            let folder = root.path().join(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("memory.max"), max).unwrap();
            fs::write(folder.join("memory.current"), current).unwrap();
        };
        group("a", "1000\n", "400\n");
        group("a/b", "max\n", "100\n");
        assert_eq!(of_group("0::/a/b\n", root.path()), Some(600));
        group("a/b", "500\n", "100\n");
        assert_eq!(of_group("0::/a/b\n", root.path()), Some(400));
        assert_eq!(of_group("0::/elsewhere\n", root.path()), None);
        // In a container: the path is the machine's, the files are at the root.
        group("", "300\n", "130\n");
        fs::write(
            root.path().join("memory.stat"),
            "anon 7\ninactive_file 20\nactive_file 10\n",
        )
        .unwrap();
        assert_eq!(of_group("0::/docker/4711\n", root.path()), Some(200));
        // Version 1.
        let folder = root.path().join("memory/c");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("memory.limit_in_bytes"), "700").unwrap();
        let of = of_group("4:cpu,memory:/c\n1:name=systemd:/x\n", root.path());
        assert_eq!(of, Some(700));
    }

    #[test]
    fn this_machine_has_some() {
        assert!(share().is_none_or(|bytes| bytes >= LEAST));
    }
}
