//! The control group to which a process's memory is charged.

use core::fmt::Write;

use crate::os::Process;

/// The maximum length of a group's path, in bytes. A longer path is not followed.
const PATH: usize = 1024;
/// The maximum number of limits read: those of the group and its ancestors.
const ANCESTORS: usize = 64;
/// In version 1, "no limit" is the largest number of pages. A value of this size or above means no limit.
const UNLIMITED: u64 = 1 << 62;

/// The control group of a process: the bytes charged to it, and the lowest limit among it and its ancestors. `None` if
/// there is no such value, or the group's files cannot be read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Group {
    /// The bytes charged to the group.
    pub current: Option<u64>,
    /// The lowest limit.
    pub limit: Option<u64>,
}

/// A hierarchy of groups: its conventional mount point, and its files.
struct Tree {
    mount: &'static str,
    current: &'static str,
    limit: &'static str,
}

const V1: Tree =
    Tree { mount: "/sys/fs/cgroup/memory", current: "memory.usage_in_bytes", limit: "memory.limit_in_bytes" };
const V2: Tree = Tree { mount: "/sys/fs/cgroup", current: "memory.current", limit: "memory.max" };

type Path = heapless::String<PATH>;

impl Group {
    /// Returns the group of `process`. If both versions are mounted, version 1's memory controller comes first: it has
    /// the memory then.
    pub fn of(process: &Process) -> Group {
        let (mut v1, mut v2) = (Path::new(), Path::new());
        let _ = process.each_line("cgroup", |line| {
            let mut parts = line.splitn(3, |&b| b == b':');
            let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
                return;
            };
            let Ok(path) = core::str::from_utf8(path) else { return };
            let to = match number {
                b"0" => &mut v2,
                _ if controllers.split(|&b| b == b',').any(|name| name == b"memory") => &mut v1,
                _ => return,
            };
            let _ = to.push_str(path);
        });
        let of = |tree, path: &Path| if path.is_empty() { None } else { Group::in_tree(process, tree, path) };
        of(&V1, &v1).or_else(|| of(&V2, &v2)).unwrap_or_default()
    }

    /// Returns `None` if the group has no such files.
    fn in_tree(process: &Process, tree: &Tree, path: &str) -> Option<Group> {
        let mut path = path.trim_end_matches('/');
        let mut group = Group { current: Some(number(process, tree, path, tree.current)?), limit: None };
        for _ in 0..ANCESTORS {
            let limit = number(process, tree, path, tree.limit).filter(|&limit| limit < UNLIMITED);
            group.limit = [group.limit, limit].into_iter().flatten().min();
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
        Some(group)
    }
}

fn number(process: &Process, tree: &Tree, path: &str, file: &str) -> Option<u64> {
    let mut name = Path::new();
    write!(name, "{}{path}/{file}", tree.mount).ok()?;
    let mut value = None;
    process.each_line(&name, |line| value = core::str::from_utf8(line).ok().and_then(|text| text.parse().ok())).ok()?;
    value
}
