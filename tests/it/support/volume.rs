//! A small volume of a test's own, which can be filled.
//!
//! It is a tmpfs that only its holder and those who enter it see, so that nothing stays mounted however the test ends.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::process::{getgid, getuid};

use super::place::{Place, executable, leashed};
use super::program::Pgvigil;
use super::{are_root, wait_until};

/// The volume, and the process whose view holds it.
pub(crate) struct Volume {
    holder: Child,
    /// Where it is for those inside.
    pub(crate) at: PathBuf,
}

impl Volume {
    /// Mounts one on a folder that is there; the size is as `mount` takes it.
    pub(crate) fn mount(at: &Path, size: &str) -> Self {
        let shell = format!(
            "mount -t tmpfs -o size={size},mode=700 none '{}' && exec sleep 86400",
            at.display()
        );
        let mut command = leashed(&executable());
        command.args(["--", "unshare", "--mount"]);
        if !are_root() {
            command.arg("--map-root-user");
        }
        let holder = command.args(["sh", "-c", &shell]).spawn().unwrap();
        let volume = Self {
            holder,
            at: at.to_owned(),
        };
        wait_until("the volume is mounted", Duration::from_secs(10), || {
            volume.sleeper().is_some()
        });
        volume
    }

    /// The process whose view holds the volume: the warden's child, once it has mounted it.
    fn sleeper(&self) -> Option<u32> {
        let warden = self.holder.id();
        let children = format!("/proc/{warden}/task/{warden}/children");
        let child = fs::read_to_string(children).ok()?;
        let pid = child.split_whitespace().next()?.parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "sleep").then_some(pid)
    }

    /// The volume as we see it from outside.
    pub(crate) fn path(&self) -> PathBuf {
        let pid = self.sleeper().expect("its holder");
        Path::new("/proc")
            .join(pid.to_string())
            .join("root")
            .join(self.at.strip_prefix("/").unwrap())
    }

    /// pgvigil where the volume is mounted.
    pub(crate) fn inside(&self, place: &Place) -> Pgvigil {
        let pid = self.sleeper().expect("its holder").to_string();
        let command = Pgvigil::by("nsenter", place).args(["--target", &pid, "--mount"]);
        if are_root() {
            return command.args([executable()]);
        }
        // Whoever could mount it is root there, and pgvigil gives root's work to another user, of which there is none.
        let (user, group) = (getuid().as_raw(), getgid().as_raw());
        command
            .args(["--user", "--preserve-credentials", "unshare", "--user"])
            .args([format!("--map-user={user}"), format!("--map-group={group}")])
            .args([executable()])
    }

    /// Takes all the room that is left; gives the file that takes it.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut size = 1 << 20;
        let mut file = fs::File::create(&path).unwrap();
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 4;
            }
        }
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().unwrap();
    }
}
