//! As whom PostgreSQL runs when we are root, which it refuses to be.

use std::fs;

/// A user to run a program as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user's name, for messages.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Whether we are root.
pub fn are_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Users to drop to, the one that owns least first. `nobody` owns nothing; `postgres` is there where only it may read the
/// binaries.
pub fn to_drop_to() -> Vec<RunAs> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["nobody", "postgres"]
        .iter()
        .filter_map(|name| lookup(&text, name))
        .collect()
}

/// Our own user's name.
pub fn own_name() -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

fn lookup(passwd: &str, wanted: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == wanted)?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(RunAs {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(
            lookup(passwd, "nobody"),
            Some(RunAs {
                name: "nobody".into(),
                uid: 65534,
                gid: 65533
            })
        );
        assert_eq!(lookup(passwd, "postgres"), None);
    }
}
