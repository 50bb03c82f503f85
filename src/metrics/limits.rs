//! What is said about the volume, and what the numbers should be.

use super::families::Families;
use super::{number, seconds};
use crate::status::ServerView;

pub(super) fn volume(out: &mut dyn Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let space = &view.space;
    out.gauge(
        "pgvigil_volume_size_bytes",
        "Size of the file system that the backups are on.",
        name,
        number(space.size_bytes),
    );
    out.gauge(
        "pgvigil_volume_available_bytes",
        "Space left for backups.",
        name,
        number(space.available_bytes),
    );
    out.gauge(
        "pgvigil_volume_used_bytes",
        "Space taken, by whatever.",
        name,
        number(space.used_bytes),
    );
    out.gauge(
        "pgvigil_volume_requested_bytes",
        "What the claim for the volume asked for; 0: not stated.",
        name,
        number(space.requested_bytes),
    );
    out.gauge(
        "pgvigil_backup_directory_size_bytes",
        "What the directory of the backups takes, with all that is in it.",
        name,
        number(space.directory_bytes),
    );
    out.gauge(
        "pgvigil_volume_fill_ratio",
        "How full the volume is: the worse of what the file system says and of the directory's share in the claim.",
        name,
        space.fill_ratio(),
    );
    out.gauge(
        "pgvigil_volume_files_free",
        "Files that can still be made.",
        name,
        number(space.files_free),
    );
}

pub(super) fn outlook(out: &mut dyn Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    out.gauge(
        "pgvigil_volume_full_timestamp_seconds",
        "When a backup will no longer fit, at the present pace; 0: not foreseen.",
        name,
        seconds(view.status.outlook.volume.full_at),
    );
}

pub(super) fn objectives(out: &mut dyn Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let wanted = &view.config.objectives;
    out.gauge(
        "pgvigil_objective_max_age_seconds",
        "Age that the newest backup may have.",
        name,
        wanted.max_age.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_duration_seconds",
        "How long a backup may take.",
        name,
        wanted.max_duration.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_restore_time_seconds",
        "How long a restore may take.",
        name,
        wanted.max_restore_time.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_drill_age_seconds",
        "Age that the last passed test restore may have.",
        name,
        wanted.max_drill_age.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_fill_ratio",
        "How full the volume may be.",
        name,
        wanted.max_fill,
    );
}
