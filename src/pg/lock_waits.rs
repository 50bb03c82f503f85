//! What a dump waits for: sessions of ours that stand behind someone else's lock, and whose lock it is.
//!
//! [`watch`] looks from a session of its own while pg_dump works. It never waits for a lock itself, never fails the job that
//! it watches, and ends with it; a server that has no connection left, or shows us nothing of others, just gets less said.
//! The sessions that are ours are known by their application_name, which is the attempt's own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Row;
use tracing::{debug, warn};

use super::connect::{Session, Target};
use crate::config::units::format_duration;
use crate::sql::name::quote_as_pg_dump;

/// Waiting as long as this is worth a line in the log.
const WARN_AFTER: Duration = Duration::from_secs(10);

/// Most such lines of one attempt: a busy table may have many holders, one after the other.
const MOST_WARNINGS: usize = 20;

/// Longest time between two looks.
const SELDOM: Duration = Duration::from_secs(3);

/// Shortest: a look is three short queries.
const OFTEN: Duration = Duration::from_millis(200);

/// How long one look may take, connecting included.
const LOOK: Duration = Duration::from_secs(5);

/// How many holders that wait themselves are asked what for.
const DEEPEST: usize = 5;

/// Of each session of ours that waits: itself, since when its statement runs, and what it waits for.
const WAITING: &str = "select a.pid, extract(epoch from pg_catalog.clock_timestamp() - a.query_start)::float8, \
      coalesce(l.locktype, 'unknown'), d.datname::text, l.relation, left(a.query, 300) \
    from pg_catalog.pg_stat_activity a left join pg_catalog.pg_locks l on l.pid = a.pid and not l.granted \
    left join pg_catalog.pg_database d on d.oid = l.database \
    where a.application_name = $1 and a.wait_event_type = 'Lock' order by a.pid limit 1";

/// The first question, because that of the locks is dearer and most looks end here.
const IS_WAITING: &str = "select exists (select from pg_catalog.pg_stat_activity where application_name = $1 and wait_event_type = 'Lock')";

/// Of others' sessions, a user who may not monitor sees less: the state and its times are null then.
const HOLDERS: &str = "select pid, usename::text, application_name, state, backend_type, \
      to_char(case state when 'active' then xact_start else state_change end at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), \
      coalesce(wait_event_type = 'Lock', false) \
    from pg_catalog.pg_stat_activity where pid = any(pg_catalog.pg_blocking_pids($1)) order by 7, pid limit 5";

/// Transactions prepared for two-phase commit have locks and no process.
const PREPARED: &str = "select x.gid, x.owner::text, to_char(x.prepared at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"') \
    from pg_catalog.pg_locks w \
    join pg_catalog.pg_locks h on h.granted and h.pid is null and h.database = w.database and h.relation = w.relation \
    join pg_catalog.pg_locks t on t.pid is null and t.virtualtransaction = h.virtualtransaction and t.locktype = 'transactionid' \
    join pg_catalog.pg_prepared_xacts x on x.transaction = t.transactionid \
    where 0 = any(pg_catalog.pg_blocking_pids($1)) and w.pid = $1 and not w.granted limit 1";

const NAME: &str = "select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = $1";

/// Ends sessions of ours that outlived their program.
const TERMINATE: &str = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where application_name = $1";

/// Who stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process on the server; 0 for a prepared transaction.
    pub pid: i32,
    /// Whether it waits for a lock itself.
    waits: bool,
    shown: String,
}

/// A wait that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What for: `app_db public.orders`.
    pub lock: String,
    /// Whose lock it is, in words, where the server says so.
    pub holder: Option<String>,
    began: Instant,
    last_seen: Instant,
}

/// Looks on until it is dropped.
#[derive(Debug)]
pub struct Watch {
    target: Target,
    /// What the sessions are called.
    name: String,
    limit: Duration,
    every: Duration,
    seen: Arc<Mutex<Option<Wait>>>,
    task: JoinHandle<()>,
}

/// What the task of a [`Watch`] holds.
struct Eye {
    target: Target,
    /// What the sessions are called.
    name: String,
    job_id: String,
    every: Duration,
    seen: Arc<Mutex<Option<Wait>>>,
    /// The relation that was named last: (database, oid) and what it is called.
    named: Option<((String, u32), String)>,
    /// What was warned of: lock and holder.
    warned: Vec<(String, Option<i32>)>,
}

/// Watches the sessions whose application_name is the target's; `limit` is how long they may wait for a lock.
pub fn watch(target: &Target, job_id: &str, limit: Duration) -> Watch {
    let every = (limit / 5).clamp(OFTEN, SELDOM);
    let seen = Arc::default();
    let eye = Eye {
        target: target.for_watching(),
        name: target.application_name().to_owned(),
        job_id: job_id.to_owned(),
        every,
        seen: Arc::clone(&seen),
        named: None,
        warned: Vec::new(),
    };
    Watch {
        target: target.for_watching(),
        name: target.application_name().to_owned(),
        limit,
        every,
        seen,
        task: tokio::spawn(eye.look_on()),
    }
}

/// Who stands in the way of a session. What cannot be asked is not said.
pub async fn holders(session: &Session, pid: i32) -> Vec<Holder> {
    let rows = session.query(HOLDERS, &[&pid]).await.unwrap_or_default();
    if !rows.is_empty() {
        return rows.iter().map(Holder::of_session).collect();
    }
    let rows = session.query(PREPARED, &[&pid]).await.unwrap_or_default();
    rows.iter().map(Holder::of_prepared).collect()
}

impl Holder {
    fn of_session(row: &Row) -> Self {
        let (pid, waits): (i32, bool) = (row.get(0), row.get(6));
        let text = |index| {
            let text: Option<String> = row.get(index);
            text.filter(|text| !text.is_empty())
        };
        let mut facts = Vec::new();
        match (text(1), text(4)) {
            (Some(user), _) => facts.push(format!("user {}", user.escape_debug())),
            // Workers of the server have no user.
            (None, Some(kind)) => facts.push(kind),
            (None, None) => {}
        }
        if let Some(application) = text(2) {
            facts.push(format!("application '{}'", application.escape_debug()));
        }
        match (text(3), text(5)) {
            (Some(state), Some(since)) if state == "active" => {
                facts.push(format!("active, in a transaction since {since}"));
            }
            (Some(state), Some(since)) => facts.push(format!("{state} since {since}")),
            (Some(state), None) => facts.push(state),
            (None, _) => {}
        }
        let shown = if facts.is_empty() {
            format!("process {pid}")
        } else {
            format!("process {pid} ({})", facts.join(", "))
        };
        Self { pid, waits, shown }
    }

    fn of_prepared(row: &Row) -> Self {
        let (name, owner, since): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        Self {
            pid: 0,
            waits: false,
            shown: format!(
                "prepared transaction '{}' (user {}, prepared {since})",
                name.escape_debug(),
                owner.escape_debug()
            ),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Wait {
    /// How long it lasted, to a moment.
    pub fn until(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }
}

impl std::fmt::Display for Wait {
    /// `a lock on app_db public.orders, held by process 4711 (…)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a lock on {}", self.lock)?;
        match &self.holder {
            Some(holder) => write!(f, ", held by {holder}"),
            None => Ok(()),
        }
    }
}

impl Watch {
    /// How long the sessions may wait for a lock.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// What was waited for at a moment that is not long ago, as far as it was seen.
    pub fn at(&self, moment: Instant) -> Option<Wait> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let near = 2 * self.every + LOOK;
        seen.clone()
            .filter(|wait| wait.began <= moment && moment <= wait.last_seen + near)
    }

    /// Ends the sessions that outlived their program: a server notices that nobody is there only when it has got the lock,
    /// and until then each of them holds its other locks and stands in the queue.
    pub async fn end_sessions(&self) {
        let ended = async {
            let session = self.target.session(&self.target.database).await.ok()?;
            let ended = session.query(TERMINATE, &[&self.name]).await.ok();
            session.close().await;
            ended
        };
        if let Ok(Some(ended)) = timeout(LOOK, ended).await
            && !ended.is_empty()
        {
            debug!(
                sessions = ended.len(),
                "ended sessions that their program had left"
            );
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Eye {
    async fn look_on(mut self) {
        let mut session = None;
        loop {
            tokio::time::sleep(self.every).await;
            let looked = timeout(LOOK, Box::pin(self.look(&mut session))).await;
            if !matches!(looked, Ok(Some(()))) {
                debug!(job_id = self.job_id, "could not look for lock waits");
                session = None;
                tokio::time::sleep(4 * self.every).await;
            }
        }
    }

    /// One look; `None` where the server did not answer it.
    async fn look(&mut self, kept: &mut Option<Session>) -> Option<()> {
        let session = match kept {
            Some(session) => session,
            None => kept.insert(self.target.session(&self.target.database).await.ok()?),
        };
        let waits = session.query_one(IS_WAITING, &[&self.name]).await.ok()?;
        if !waits.get::<_, bool>(0) {
            return Some(());
        }
        let row = session.query_opt(WAITING, &[&self.name]).await.ok()?;
        if let Some(row) = row {
            let now = Instant::now();
            let (pid, seconds): (i32, Option<f64>) = (row.get(0), row.get(1));
            let waited = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
            let holders = in_the_way(session, pid).await;
            let lock = self.lock(&row).await;
            let wait = Wait {
                lock,
                holder: in_words(&holders),
                began: now.checked_sub(waited).unwrap_or(now),
                last_seen: now,
            };
            self.saw(wait, waited, holders.first().map(|holder| holder.pid));
        }
        Some(())
    }

    fn saw(&mut self, wait: Wait, waited: Duration, holder: Option<i32>) {
        let about = (wait.lock.clone(), holder);
        if waited >= WARN_AFTER
            && self.warned.len() < MOST_WARNINGS
            && !self.warned.contains(&about)
        {
            self.warned.push(about);
            warn!(
                job_id = self.job_id, lock = wait.lock, held_by = wait.holder,
                waited = %format_duration(waited), "waits for a lock"
            );
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait);
    }

    /// What is waited for, in words.
    async fn lock(&mut self, row: &Row) -> String {
        let (kind, database, relation): (String, Option<String>, Option<u32>) =
            (row.get(2), row.get(3), row.get(4));
        let Some(relation) = relation.filter(|_| kind == "relation") else {
            return format!("a {kind} of the server");
        };
        // What all databases share is in each of them.
        let database = database.unwrap_or_else(|| self.target.database.clone());
        let key = (database, relation);
        if let Some((named, text)) = &self.named
            && *named == key
        {
            return text.clone();
        }
        let (database, relation) = (&key.0, key.1);
        let name = match self.name(database, relation).await {
            Some(name) => name,
            None => {
                let statement: Option<String> = row.get(5);
                let named = statement.as_deref().and_then(locked_table);
                named.map_or_else(|| format!("relation {relation}"), ToOwned::to_owned)
            }
        };
        let text = format!("{database} {name}");
        self.named = Some((key, text.clone()));
        text
    }

    /// The name of a relation, which only its own database knows.
    async fn name(&self, database: &str, relation: u32) -> Option<String> {
        let session = self.target.session(database).await.ok()?;
        let row = session.query_opt(NAME, &[&relation]).await.ok()??;
        session.close().await;
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        Some(format!(
            "{}.{}",
            quote_as_pg_dump(&schema),
            quote_as_pg_dump(&name)
        ))
    }
}

/// Who is in the way of a session, and where that one waits itself, who is in its way; and so on.
async fn in_the_way(session: &Session, pid: i32) -> Vec<Holder> {
    let mut chain: Vec<Holder> = Vec::new();
    let mut waiting = pid;
    while chain.len() < DEEPEST {
        let Some(next) = holders(session, waiting).await.into_iter().next() else {
            break;
        };
        if chain.iter().any(|known| known.pid == next.pid) {
            break;
        }
        let go_on = next.waits;
        waiting = next.pid;
        chain.push(next);
        if !go_on {
            break;
        }
    }
    chain
}

fn in_words(chain: &[Holder]) -> Option<String> {
    match chain {
        [] => None,
        [only] => Some(only.to_string()),
        [first, .., last] => Some(format!("{first}, which waits for {last}")),
    }
}

/// The table of a `LOCK TABLE` of pg_dump, where it is only one.
pub fn locked_table(statement: &str) -> Option<&str> {
    let tables = statement.trim().strip_prefix("LOCK TABLE ")?;
    let (tables, _) = tables.split_once(" IN ACCESS SHARE MODE")?;
    let table = tables.strip_prefix("ONLY ").unwrap_or(tables);
    (!table.contains(", ")).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_of_a_statement_is_named() {
        let of = |text| locked_table(text);
        assert_eq!(
            of("LOCK TABLE public.orders IN ACCESS SHARE MODE"),
            Some("public.orders")
        );
        assert_eq!(
            of("LOCK TABLE ONLY public.\"o r\" IN ACCESS SHARE MODE\n"),
            Some("public.\"o r\"")
        );
        assert_eq!(of("LOCK TABLE a.b, c.d IN ACCESS SHARE MODE"), None);
        assert_eq!(of("SELECT 1"), None);
    }

    #[test]
    fn a_holder_that_waits_itself_is_named_with_whom_it_waits_for() {
        let holder = |pid: i32| Holder {
            pid,
            waits: false,
            shown: format!("process {pid}"),
        };
        assert_eq!(in_words(&[]), None);
        assert_eq!(in_words(&[holder(1)]).as_deref(), Some("process 1"));
        assert_eq!(
            in_words(&[holder(1), holder(2), holder(3)]).as_deref(),
            Some("process 1, which waits for process 3")
        );
    }
}
