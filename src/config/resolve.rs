//! From what is typed to what is meant: defaults, limits, and whether the parts fit together.

mod notify;
mod scalar;

use serde_yaml::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::document::{Resolved, Section, Text};
use super::raw;
use super::{
    Backup, CHECK_TIMEOUT, Check, Config, Connection, Drill, Expect, Freshness, Http, Mode,
    Objectives, Observe, PasswordSource, Pause, Retention, ScratchServer, Server, SslMode, Verify,
    Volume, WhenShort,
};
use scalar::{
    absolute, address, duration, duration_or, file_pattern, filled, jitter, moment, schedule,
    server_name, size, sslmode, timezone, truth, whole, whole_or,
};

/// When nothing is said: backups at night, verification when they are done, a drill a week. Apart, so that they do not
/// wait for each other.
const BACKUP_SCHEDULE: &str = "0 2 * * *";
const VERIFY_SCHEDULE: &str = "0 5 * * *";
const DRILL_SCHEDULE: &str = "0 6 * * 0";

/// Attempts after a failed one: from none to so many.
const RETRIES: (u32, u32) = (0, 10);

/// Jobs at once, over all servers: a sidecar shares its node with the databases it protects.
const JOBS: u32 = 4;

/// Where a directory's name leads to on disk, where there is one.
pub(super) type RealPath<'a> = &'a dyn Fn(&Path) -> Option<PathBuf>;

/// Resolves the whole file.
pub(super) fn document(raw: &raw::Document, real: RealPath<'_>) -> Resolved<Config> {
    let root = Section {
        path: String::new(),
        line: 1,
    };
    let typed = raw.servers.as_deref().unwrap_or_default();
    if typed.is_empty() {
        return Err(root.missing("servers", "name at least one PostgreSQL server"));
    }
    let mut servers = Vec::with_capacity(typed.len());
    for (index, one) in typed.iter().enumerate() {
        let section = Section {
            path: format!("servers[{index}]"),
            line: one.referenced.line(),
        };
        servers.push(server(&section, &one.value)?);
    }
    names_are_unique(typed)?;
    directories_are_apart(typed, real)?;
    let http = Section {
        path: "http".to_owned(),
        line: 1,
    };
    let limits = Section {
        path: "limits".to_owned(),
        line: 1,
    };
    let jobs = raw.limits.as_ref().and_then(|limits| limits.jobs.as_ref());
    Ok(Config {
        servers,
        http: self::http(&http, raw.http.as_ref().unwrap_or(&raw::Http::default()))?,
        jobs: whole_or(&limits, "jobs", jobs, (1, 64), JOBS)?,
        alertmanager: raw
            .notify
            .as_ref()
            .and_then(|notify| notify.alertmanager.as_ref())
            .map(notify::alertmanager)
            .transpose()?,
    })
}

fn http(section: &Section, raw: &raw::Http) -> Resolved<Http> {
    if let Some(token) = &raw.token {
        let line = token.referenced.line();
        let remedy = "put the token into a file and name it with token_file";
        let what = "secrets do not belong in the configuration";
        return Err(section.problem("token", line, what, remedy));
    }
    let file = |key: &str, typed: &Option<Text>| {
        typed
            .as_ref()
            .map(|typed| absolute(section, key, typed))
            .transpose()
    };
    Ok(Http {
        listen: address(section, raw.listen.as_ref())?,
        web_config_file: file("web_config_file", &raw.web_config_file)?,
        token_file: file("token_file", &raw.token_file)?,
    })
}

fn server(section: &Section, raw: &raw::Server) -> Resolved<Server> {
    let typed = raw
        .name
        .as_ref()
        .ok_or_else(|| section.missing("name", "give the server a name"))?;
    let name = server_name(section, typed)?;
    let typed = raw
        .directory
        .as_ref()
        .ok_or_else(|| section.missing("directory", "say where its backups live"))?;
    let directory = absolute(section, "directory", typed)?;
    Ok(Server {
        name,
        connection: connection(
            &section.inner("connection"),
            raw.connection
                .as_ref()
                .unwrap_or(&raw::Connection::default()),
        )?,
        directory,
        pg_bin: raw
            .pg_bin
            .as_ref()
            .map(|typed| absolute(section, "pg_bin", typed))
            .transpose()?,
        paused: raw
            .paused
            .as_ref()
            .map(|typed| paused(section, typed))
            .transpose()?,
        volume: Volume {
            requested: raw
                .volume
                .as_ref()
                .and_then(|volume| volume.requested.as_ref())
                .map(|typed| size(&section.inner("volume"), "requested", typed))
                .transpose()?,
        },
        backup: backup(
            &section.inner("backup"),
            raw.backup.as_ref().unwrap_or(&raw::Backup::default()),
        )?,
        retention: retention(
            &section.inner("retention"),
            raw.retention.as_ref().unwrap_or(&raw::Retention::default()),
        )?,
        verify: verify(
            &section.inner("verify"),
            raw.verify.as_ref().unwrap_or(&raw::Verify::default()),
        )?,
        drill: drill(
            &section.inner("drill"),
            raw.drill.as_ref().unwrap_or(&raw::Drill::default()),
        )?,
        objectives: objectives(
            &section.inner("objectives"),
            raw.objectives
                .as_ref()
                .unwrap_or(&raw::Objectives::default()),
        )?,
    })
}

fn connection(section: &Section, raw: &raw::Connection) -> Resolved<Connection> {
    if let Some(password) = &raw.password {
        let line = password.referenced.line();
        let remedy =
            "put the password into a file and name it with password_file, or set PGPASSWORD";
        return Err(section.problem(
            "password",
            line,
            "secrets do not belong in the configuration",
            remedy,
        ));
    }
    let text = |key: &str, typed: &Option<Text>| {
        typed
            .as_ref()
            .map(|typed| filled(section, key, typed))
            .transpose()
    };
    let password = match (&raw.password_file, &raw.passfile) {
        (Some(_), Some(second)) => {
            return Err(section.bad(
                "passfile",
                second,
                "there is a password_file too",
                "keep one of them",
            ));
        }
        (Some(file), None) => PasswordSource::File(filled(section, "password_file", file)?.into()),
        (None, Some(file)) => PasswordSource::PassFile(filled(section, "passfile", file)?.into()),
        (None, None) => PasswordSource::Environment,
    };
    let port = raw
        .port
        .as_ref()
        .map(|typed| whole(section, "port", typed, 1, u16::MAX.into()))
        .transpose()?;
    Ok(Connection {
        host: text("host", &raw.host)?,
        port: port.and_then(|port| u16::try_from(port).ok()),
        user: text("user", &raw.user)?,
        database: text("database", &raw.database)?,
        password,
        sslmode: raw
            .sslmode
            .as_ref()
            .map_or(Ok(SslMode::default()), |typed| sslmode(section, typed))?,
        sslrootcert: text("sslrootcert", &raw.sslrootcert)?.map(PathBuf::from),
        connect_timeout: raw
            .connect_timeout
            .as_ref()
            .map(|typed| duration(section, "connect_timeout", typed))
            .transpose()?,
    })
}

/// A pause without a reason makes people wonder at night, so it has one.
fn paused(server: &Section, typed: &Spanned<raw::Paused>) -> Resolved<Pause> {
    let section = Section {
        line: typed.referenced.line(),
        ..server.inner("paused")
    };
    let reason = required(
        &section,
        "reason",
        &typed.value.reason,
        "say why nothing is to run, and until when",
    )?;
    let until = typed.value.until.as_ref();
    Ok(Pause {
        reason: reason.value.clone(),
        until: until
            .map(|typed| moment(&section, "until", typed))
            .transpose()?,
    })
}

fn verify(section: &Section, raw: &raw::Verify) -> Resolved<Verify> {
    let usual = Verify::default();
    Ok(Verify {
        schedule: schedule(
            section,
            raw.schedule.as_ref(),
            raw.timezone.as_ref(),
            VERIFY_SCHEDULE,
        )?,
        jitter: jitter(section, raw.jitter.as_ref())?,
        timeout: duration_or(section, "timeout", raw.timeout.as_ref(), usual.timeout)?,
        retries: whole_or(
            section,
            "retries",
            raw.retries.as_ref(),
            RETRIES,
            usual.retries,
        )?,
    })
}

/// Who takes the backups; what is said of others' files is refused where there are none.
fn mode(section: &Section, raw: &raw::Backup) -> Resolved<Mode> {
    let usual = Observe::default();
    let observe = match raw.mode.as_ref().map(|typed| (typed, typed.value.as_str())) {
        None | Some((_, "take")) => false,
        Some((_, "observe")) => true,
        Some((typed, _)) => {
            let what = "not a mode";
            return Err(section.bad("mode", typed, what, "write take or observe"));
        }
    };
    for (key, typed) in [("pattern", &raw.pattern), ("settle", &raw.settle)] {
        if let (false, Some(typed)) = (observe, typed) {
            let what = "said of files of others, but mode is not observe";
            return Err(section.bad(key, typed, what, "write mode: observe beside it"));
        }
    }
    if !observe {
        return Ok(Mode::Take);
    }
    Ok(Mode::Observe(Observe {
        pattern: raw.pattern.as_ref().map_or(Ok(usual.pattern), |typed| {
            file_pattern(section, "pattern", typed)
        })?,
        settle: duration_or(section, "settle", raw.settle.as_ref(), usual.settle)?,
        timezone: timezone(section, raw.timezone.as_ref())?,
    }))
}

fn when_short(section: &Section, typed: Option<&Text>) -> Resolved<WhenShort> {
    match typed.map(|typed| (typed, typed.value.as_str())) {
        None | Some((_, "refuse")) => Ok(WhenShort::Refuse),
        Some((_, "warn")) => Ok(WhenShort::Warn),
        Some((typed, _)) => {
            let what = "neither refuse nor warn";
            Err(section.bad("when_short", typed, what, "write refuse or warn"))
        }
    }
}

fn backup(section: &Section, raw: &raw::Backup) -> Resolved<Backup> {
    let usual = Backup::default();
    Ok(Backup {
        mode: mode(section, raw)?,
        jitter: jitter(section, raw.jitter.as_ref())?,
        retry_delay: duration_or(
            section,
            "retry_delay",
            raw.retry_delay.as_ref(),
            usual.retry_delay,
        )?,
        lock_timeout: duration_or(
            section,
            "lock_timeout",
            raw.lock_timeout.as_ref(),
            usual.lock_timeout,
        )?,
        when_short: when_short(section, raw.when_short.as_ref())?,
        schedule: schedule(
            section,
            raw.schedule.as_ref(),
            raw.timezone.as_ref(),
            BACKUP_SCHEDULE,
        )?,
        timeout: duration_or(section, "timeout", raw.timeout.as_ref(), usual.timeout)?,
        retries: whole_or(
            section,
            "retries",
            raw.retries.as_ref(),
            RETRIES,
            usual.retries,
        )?,
        jobs: whole_or(section, "jobs", raw.jobs.as_ref(), (1, 64), usual.jobs)?,
    })
}

fn retention(section: &Section, raw: &raw::Retention) -> Resolved<Retention> {
    let usual = Retention::default();
    let count =
        |key: &str, typed: &Option<Text>| whole_or(section, key, typed.as_ref(), (0, 10_000), 0);
    Ok(Retention {
        keep_days: whole_or(
            section,
            "keep_days",
            raw.keep_days.as_ref(),
            (1, 36_500),
            usual.keep_days,
        )?,
        // Never 0: a rule by age alone deletes the last backup there is when new ones stop coming.
        keep_min: whole_or(
            section,
            "keep_min",
            raw.keep_min.as_ref(),
            (1, 10_000),
            usual.keep_min,
        )?,
        keep_daily: count("keep_daily", &raw.keep_daily)?,
        keep_weekly: count("keep_weekly", &raw.keep_weekly)?,
        keep_monthly: count("keep_monthly", &raw.keep_monthly)?,
        keep_yearly: count("keep_yearly", &raw.keep_yearly)?,
        adopt: raw
            .adopt
            .as_ref()
            .map_or(Ok(false), |typed| truth(section, "adopt", typed))?,
    })
}

fn drill(section: &Section, raw: &raw::Drill) -> Resolved<Drill> {
    let given = scratch_server(section, raw)?;
    let listed = |key: &str, index: usize, line: u64| Section {
        path: format!("{}.{key}[{index}]", section.path),
        line,
    };
    let mut checks = Vec::new();
    for (index, typed) in raw.checks.iter().flatten().enumerate() {
        let section = listed("checks", index, typed.referenced.line());
        checks.push(check(&section, &typed.value)?);
    }
    let mut fresh = Vec::new();
    for (index, typed) in raw.freshness.iter().flatten().enumerate() {
        let section = listed("freshness", index, typed.referenced.line());
        fresh.push(freshness(&section, &typed.value)?);
    }
    let scratch = raw.scratch.as_ref().map(|scratch| &scratch.value);
    Ok(Drill {
        fence_required: matches!(scratch, Some(raw::Scratch::Fence(raw::Fence::Required))),
        server: given,
        schedule: schedule(
            section,
            raw.schedule.as_ref(),
            raw.timezone.as_ref(),
            DRILL_SCHEDULE,
        )?,
        timeout: duration_or(
            section,
            "timeout",
            raw.timeout.as_ref(),
            Drill::default().timeout,
        )?,
        jitter: jitter(section, raw.jitter.as_ref())?,
        retries: whole_or(
            section,
            "retries",
            raw.retries.as_ref(),
            RETRIES,
            Drill::default().retries,
        )?,
        checks,
        freshness: fresh,
    })
}

/// The server to drill on, where one is named. It is named in full: what is left out is not to mean another server's.
fn scratch_server(section: &Section, raw: &raw::Drill) -> Resolved<Option<ScratchServer>> {
    let inner = section.inner("scratch").inner("server");
    let connection = match &raw.scratch {
        None => None,
        Some(typed) => match &typed.value {
            raw::Scratch::Embedded | raw::Scratch::Fence(raw::Fence::Required) => None,
            raw::Scratch::Server(connection) => Some((typed.referenced.line(), connection)),
            raw::Scratch::Pod(_) => {
                let what = "\"pod\" is not supported by this version";
                let line = typed.referenced.line();
                return Err(section.problem("scratch", line, what, "use embedded"));
            }
        },
    };
    let superuser = raw.scratch_superuser.as_ref().map(|typed| {
        let refusal = |what| {
            section.bad(
                "scratch_superuser",
                typed,
                what,
                "write allowed, beside scratch: { server: { … } }, or leave it out",
            )
        };
        match (typed.value.as_str(), &connection) {
            ("allowed", Some(_)) => Ok(true),
            ("refused", Some(_)) => Ok(false),
            (_, None) => Err(refusal("there is no scratch.server")),
            _ => Err(refusal("neither allowed nor refused")),
        }
    });
    let superuser_allowed = superuser.transpose()?.unwrap_or(false);
    let Some((line, typed)) = connection else {
        return Ok(None);
    };
    for (key, given) in [("host", &typed.host), ("user", &typed.user)] {
        if given.is_none() {
            let what = "is missing: a server to drill on is named by host and user";
            return Err(inner.problem(key, line, what, "name both"));
        }
    }
    Ok(Some(ScratchServer {
        connection: self::connection(&inner, typed)?,
        superuser_allowed,
    }))
}

fn required<'a>(
    section: &Section,
    key: &str,
    typed: &'a Option<Text>,
    all: &str,
) -> Resolved<&'a Text> {
    let typed = typed.as_ref().ok_or_else(|| section.missing(key, all))?;
    filled(section, key, typed).map(|_| typed)
}

fn check(section: &Section, raw: &raw::Check) -> Resolved<Check> {
    let required = |key, typed| {
        required(
            section,
            key,
            typed,
            "a check needs name, database, sql and expect",
        )
    };
    let text = |key, typed| required(key, typed).map(|typed: &Text| typed.value.clone());
    let typed = required("expect", &raw.expect)?;
    let expect = Expect::parse(&typed.value).map_err(|error| {
        let remedy =
            "write > 0, >= 1, < 5, <= 5, = open, <> 0, between 1 and 5, true, false or not null";
        section.bad("expect", typed, &error.to_string(), remedy)
    })?;
    Ok(Check {
        name: text("name", &raw.name)?,
        database: text("database", &raw.database)?,
        sql: text("sql", &raw.sql)?,
        expect,
        timeout: duration_or(section, "timeout", raw.timeout.as_ref(), CHECK_TIMEOUT)?,
    })
}

fn freshness(section: &Section, raw: &raw::Freshness) -> Resolved<Freshness> {
    let required = |key, typed| {
        required(
            section,
            key,
            typed,
            "freshness needs database, table, column and max_age",
        )
    };
    let text = |key, typed| required(key, typed).map(|typed: &Text| typed.value.clone());
    Ok(Freshness {
        database: text("database", &raw.database)?,
        table: text("table", &raw.table)?,
        column: text("column", &raw.column)?,
        max_age: duration(section, "max_age", required("max_age", &raw.max_age)?)?,
    })
}

fn objectives(section: &Section, raw: &raw::Objectives) -> Resolved<Objectives> {
    let usual = Objectives::default();
    let max_fill = raw.max_fill.as_ref().map(|typed| {
        let ratio = typed
            .value
            .parse::<f64>()
            .ok()
            .filter(|ratio| *ratio > 0.0 && *ratio <= 1.0);
        ratio.ok_or_else(|| {
            section.bad(
                "max_fill",
                typed,
                "not a ratio",
                "use a number above 0 and up to 1, as 0.80",
            )
        })
    });
    Ok(Objectives {
        max_age: duration_or(section, "max_age", raw.max_age.as_ref(), usual.max_age)?,
        max_duration: duration_or(
            section,
            "max_duration",
            raw.max_duration.as_ref(),
            usual.max_duration,
        )?,
        max_fill: max_fill.transpose()?.unwrap_or(usual.max_fill),
        max_restore_time: duration_or(
            section,
            "max_restore_time",
            raw.max_restore_time.as_ref(),
            usual.max_restore_time,
        )?,
        max_partial_restore_time: duration_or(
            section,
            "max_partial_restore_time",
            raw.max_partial_restore_time.as_ref(),
            usual.max_partial_restore_time,
        )?,
        max_drill_age: duration_or(
            section,
            "max_drill_age",
            raw.max_drill_age.as_ref(),
            usual.max_drill_age,
        )?,
    })
}

fn names_are_unique(servers: &[Spanned<raw::Server>]) -> Resolved<()> {
    let mut seen = BTreeSet::new();
    for (index, typed) in servers.iter().enumerate() {
        let Some(name) = &typed.value.name else {
            continue;
        };
        if !seen.insert(&name.value) {
            let section = Section {
                path: format!("servers[{index}]"),
                line: 1,
            };
            return Err(section.bad(
                "name",
                name,
                "another server has this name",
                "give each server its own",
            ));
        }
    }
    Ok(())
}

/// Two servers in one directory, or one in the other's, would list and delete each other's backups.
fn directories_are_apart(servers: &[Spanned<raw::Server>], real: RealPath<'_>) -> Resolved<()> {
    // In the order of paths, what lies in a directory follows it.
    let mut seen: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (index, one) in servers.iter().enumerate() {
        let Some(typed) = &one.value.directory else {
            continue;
        };
        let named: PathBuf = Path::new(&typed.value).components().collect();
        let path = real(&named).unwrap_or_else(|| named.clone());
        let around = path.ancestors().find_map(|path| seen.get(path));
        let inside = || {
            let next = seen.range(path.clone()..).next();
            next.filter(|(other, _)| other.starts_with(&path))
                .map(|(_, index)| index)
        };
        if let Some(other) = around.or_else(inside) {
            let section = Section {
                path: format!("servers[{index}]"),
                line: 1,
            };
            let leads = if path == named {
                String::new()
            } else {
                format!(" (it leads to {})", path.display())
            };
            let what =
                format!("the same as, inside of, or around servers[{other}].directory{leads}");
            let remedy = "give each server a directory of its own";
            return Err(section.bad("directory", typed, &what, remedy));
        }
        seen.insert(path, index);
    }
    Ok(())
}
