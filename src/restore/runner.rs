//! Runs the steps of a dump, or of one database's part of it, on the target, strictly: the first error ends it.
//!
//! In order, on one session, but for two things that gather until something comes that has to wait for them: rows that
//! stand in an indexed archive, and runs of indexes and constraints. Those are [`tasks`](super::tasks).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Restored;
use super::lane::{Copy, Lane};
use super::policy::{Context, Policy, Verdict, refused};
use super::rows::Rows;
use super::settings::Settings;
use super::steps::{Step, Steps};
use super::tasks::{Crew, Sent, Task, Work};
use crate::catalog::Range;
use crate::catalog::hash::RowHasher;
use crate::error::{Failure, FailureKind, Result};
use crate::sql::build::{self, Build, TableName};
use crate::sql::copy::CopyHeader;
use crate::sql::encoding::decode;
use crate::sql::reach::{self, Reach};
use crate::sql::scanner::Position;
use crate::sql::statement::{self, Statement};

/// Most text of gathered statements, and most gathered tasks.
const GATHERED_TEXT: usize = 8 << 20;
const GATHERED_TASKS: usize = 50_000;

/// A table with less than this is loaded by one session.
const WORTH_CUTTING: u64 = 32 << 20;

/// See the module.
pub(super) struct Runner<'a> {
    policy: &'a dyn Policy,
    /// For each database that the dump connects to.
    crew: Crew,
    /// Where statements about what the server shares are run: a database that the dump does not have.
    maintenance: Lane,
    main: Option<Lane>,
    /// Whether the dump is in a database that is not restored.
    passing_over: bool,
    settings: Settings,
    /// Tables that this dump made here, and that hold nothing but what it loads.
    made: HashSet<TableName>,
    /// Bytes of each table's rows seen so far.
    sizes: HashMap<TableName, u64>,
    /// A COPY whose rows come with the next step.
    open: Option<(Copy, TableName)>,
    gathered: Gathered,
    /// Statements for the end of this database: those about event triggers.
    at_the_end: Vec<(String, Position)>,
    /// How many sessions may work at once, and the bytes that one of them would have if all had the same.
    jobs: u64,
    fair_share: u64,
    pub(super) restored: Restored,
}

/// What waits to be done side by side.
#[derive(Default)]
struct Gathered {
    rows: Vec<(Copy, TableName, Range, Settings)>,
    builds: Vec<Task>,
    foreign_keys: bool,
    followers: Vec<(String, Position)>,
    text: usize,
}

impl<'a> Runner<'a> {
    /// Begins; `crew.on` is the database for statements about what the server shares.
    pub(super) async fn begin(
        policy: &'a dyn Policy,
        crew: Crew,
        jobs: usize,
        bytes: u64,
    ) -> Result<Self> {
        let maintenance = crew.lane().await?;
        Ok(Self {
            policy,
            crew,
            maintenance,
            main: None,
            passing_over: false,
            settings: Settings::default(),
            made: HashSet::new(),
            sizes: HashMap::new(),
            open: None,
            gathered: Gathered::default(),
            at_the_end: Vec::new(),
            jobs: jobs as u64,
            fair_share: bytes / (jobs as u64).max(1),
            restored: Restored::default(),
        })
    }

    /// Runs all steps.
    pub(super) async fn run(&mut self, mut steps: Steps) -> Result<()> {
        while let Some(step) = steps.receiver.recv().await {
            self.crew.progress.check()?;
            match step {
                Step::Connect(name) => self.connect(&name).await?,
                Step::Statement(text, at) => self.statement(&text, at).await?,
                Step::CopyBegin(header, text, at) => {
                    let (copy, table) = self.copy(&header, &text, at)?;
                    let loads = self.crew.loads(Some(&copy.schema), &copy.table);
                    if self.crew.source.is_none() && (self.passing_over || !loads) {
                        let mut rows = Rows::Stream(&mut steps);
                        while rows.next().await?.is_some() {}
                    } else if self.crew.source.is_some() {
                        self.open = Some((copy, table));
                    } else {
                        self.load_stream(copy, &mut steps).await?;
                    }
                }
                Step::CopyRange(range) => self.gather_rows(range).await?,
                // The end marker behind rows that are read from their place.
                Step::CopyEnd if self.crew.source.is_some() && self.open.is_none() => {}
                Step::CopyData(_) | Step::CopyEnd => {
                    return Err(refused("rows where none can be", Position::default()));
                }
                Step::Refused(why, at) => return Err(refused(&why, at)),
                Step::TooLong(at) => return Err(too_long(at)),
            }
        }
        steps.finish().await?;
        self.end_database().await
    }

    async fn end_database(&mut self) -> Result<()> {
        self.settle().await?;
        for (text, at) in std::mem::take(&mut self.at_the_end) {
            self.lane().execute(&text, at).await?;
        }
        Ok(())
    }

    /// Ends the sessions.
    pub(super) async fn close(self) -> Restored {
        self.maintenance.close().await;
        if let Some(main) = self.main {
            main.close().await;
        }
        self.restored
    }

    /// Whether the dump has connected to this database last.
    pub(super) fn connected_to(&self, name: &str) -> bool {
        self.main.is_some() && self.crew.database == name
    }

    /// Goes on in a database of the dump.
    pub(super) async fn connect(&mut self, name: &str) -> Result<()> {
        self.end_database().await?;
        if let Some(main) = self.main.take() {
            main.close().await;
        }
        name.clone_into(&mut self.crew.database);
        self.settings = Settings::default();
        self.made.clear();
        self.sizes.clear();
        let on = self.policy.database(name);
        self.passing_over = on.is_none();
        if let Some(on) = on {
            self.crew.on = on;
            let main = self.crew.lane().await?;
            for statement in self.policy.prelude(name)? {
                main.execute(&statement, Position::default()).await?;
            }
            self.main = Some(main);
        }
        Ok(())
    }

    async fn statement(&mut self, text: &[u8], at: Position) -> Result<()> {
        let decoded = decode(&self.settings.encoding, text);
        let Some(decoded) = decoded else {
            return self.statement_of_bytes(text, at).await;
        };
        let bytes = decoded.as_bytes();
        let read = match statement::read(bytes) {
            Statement::Refused(why) => return Err(refused(why, at)),
            Statement::Set { name, value } if name == "client_encoding" => {
                self.settings.encoding = value;
                return Ok(());
            }
            other => other,
        };
        let reach = reach::reach(bytes);
        if reach == Reach::Here && (self.passing_over || !self.crew.builds(bytes)) {
            return Ok(());
        }
        if read == Statement::Insert
            && let Some((schema, table)) = build::inserted_table(bytes)
        {
            if !self.crew.loads(schema.as_deref(), &table) {
                return Ok(());
            }
            // What it holds now, a COPY must not take away.
            self.made.remove(&(schema, table));
        }
        let context = Context {
            database: (!self.crew.database.is_empty()).then_some(self.crew.database.as_str()),
            text: &decoded,
            statement: &read,
            reach: &reach,
            at,
        };
        let text = match self.policy.judge(context)? {
            Verdict::Run => decoded.into_owned(),
            Verdict::Instead(text) => text,
            Verdict::Skip => return Ok(()),
            Verdict::Later(statements) => {
                self.restored.later.extend(statements);
                return Ok(());
            }
        };
        self.restored.statements += 1;
        if reach != Reach::Here {
            self.settle().await?;
            let excused = |code: &str| self.policy.excuses(&text, code);
            if self.maintenance.execute_unless(&text, at, excused).await? {
                self.defined(&text);
            }
            self.policy.was_run(&reach);
            return Ok(());
        }
        if let Some(name) = build::setting(text.as_bytes()) {
            return self.set(name, text, at).await;
        }
        if build::is_event_trigger(text.as_bytes()) {
            self.at_the_end.push((text, at));
            return Ok(());
        }
        self.made.extend(build::created_table(text.as_bytes()));
        match build::build(text.as_bytes()) {
            Some(build) => self.gather_build(build, text, at).await,
            None => {
                // What belongs to the data does not wait for other tables' rows.
                let data = matches!(
                    read,
                    Statement::SetSequence { .. } | Statement::LargeObject(_) | Statement::Insert
                ) || is_transaction(text.as_bytes());
                if !data {
                    self.settle().await?;
                }
                let excused = |code: &str| self.policy.excuses(&text, code);
                if self.lane().execute_unless(&text, at, excused).await? {
                    self.defined(&text);
                }
                Ok(())
            }
        }
    }

    /// Remembers what the dump says of roles, owners and grants, once it is true.
    fn defined(&mut self, text: &str) {
        let definitions = &mut self.restored.definitions;
        definitions.add(&self.crew.database, text.as_bytes());
    }

    /// A statement whose bytes have no Unicode form. It is about nothing that the server shares, whose names we could
    /// not judge.
    async fn statement_of_bytes(&mut self, text: &[u8], at: Position) -> Result<()> {
        if let Statement::Refused(why) = statement::read(text) {
            return Err(refused(why, at));
        }
        if self.passing_over {
            return Ok(());
        }
        if reach::reach(text) != Reach::Here {
            return Err(refused(
                "a statement about a database or role whose name is not text",
                at,
            ));
        }
        self.restored.statements += 1;
        let text = as_bytes(&self.policy.judge_bytes(text, at)?);
        self.settle().await?;
        self.lane().execute(&text, at).await?;
        self.defined(&text);
        Ok(())
    }

    fn lane(&self) -> &Lane {
        self.main.as_ref().unwrap_or(&self.maintenance)
    }

    async fn set(&mut self, name: String, text: String, at: Position) -> Result<()> {
        self.lane().execute(&text, at).await?;
        self.settings.note(name, text);
        let lane = self.main.as_mut().unwrap_or(&mut self.maintenance);
        lane.has(&self.settings);
        Ok(())
    }

    fn copy(&self, header: &CopyHeader, text: &[u8], at: Position) -> Result<(Copy, TableName)> {
        let text = decode(&self.settings.encoding, text).ok_or_else(|| unnameable(at))?;
        // Names in the text's own encoding may not be what they are in ours.
        let header = crate::sql::copy::header(text.as_bytes()).unwrap_or_else(|| header.clone());
        let table = (header.schema.clone(), header.table.clone());
        let copy = Copy {
            text: text.into_owned(),
            schema: header.schema.unwrap_or_else(|| "public".to_owned()),
            table: header.table,
            at,
            // A table that is found by search_path cannot be emptied by its name.
            fresh: table.0.is_some() && self.made.contains(&table),
        };
        Ok((copy, table))
    }

    /// Loads rows that come with the steps.
    async fn load_stream(&mut self, copy: Copy, steps: &mut Steps) -> Result<()> {
        let mut hasher = self.crew.hashing.then(RowHasher::new);
        let rows = self
            .lane()
            .copy(
                &copy,
                &self.settings.encoding,
                &mut Rows::Stream(steps),
                hasher.as_mut(),
                &self.crew.progress,
            )
            .await?;
        let sent = hasher.map(|hasher| Sent::new(&self.crew.database, &copy, &hasher));
        self.restored.sent.extend(sent);
        // A second COPY into the same table must not truncate it.
        self.made
            .remove(&(Some(copy.schema.clone()), copy.table.clone()));
        self.restored.rows += rows;
        self.restored.tables += 1;
        Ok(())
    }

    async fn gather_rows(&mut self, range: Range) -> Result<()> {
        let Some((copy, table)) = self.open.take() else {
            return Err(refused("rows of no table", Position::default()));
        };
        if !self.crew.loads(Some(&copy.schema), &copy.table) {
            return Ok(());
        }
        *self.sizes.entry(table.clone()).or_default() += range.length;
        self.restored.tables += 1;
        let settings = self.settings.clone();
        self.gathered.rows.push((copy, table, range, settings));
        if self.gathered.rows.len() > GATHERED_TASKS {
            self.settle().await?;
        }
        Ok(())
    }

    async fn gather_build(&mut self, build: Build, text: String, at: Position) -> Result<()> {
        if !self.gathered.rows.is_empty() {
            self.settle().await?;
        }
        let foreign = match &build {
            Build::Follower if self.gathered.builds.is_empty() => {
                return self.lane().execute(&text, at).await.map(drop);
            }
            Build::Follower => {
                self.gathered.text += text.len();
                self.gathered.followers.push((text, at));
                return Ok(());
            }
            Build::ForeignKey(..) => true,
            Build::Index(_) | Build::Constraint(_) => false,
        };
        // What follows is about indexes before it, and a foreign key may need it: an index of a partitioned table is valid
        // once all its parts are attached. An index behind a foreign key begins a new run.
        let after = (foreign && !self.gathered.followers.is_empty())
            || (!foreign && self.gathered.foreign_keys);
        if after || self.gathered.is_full() {
            self.settle().await?;
        }
        let bytes = match &build {
            Build::Index(table) | Build::Constraint(table) | Build::ForeignKey(table, _) => {
                self.sizes.get(table).copied().unwrap_or(0)
            }
            Build::Follower => 0,
        };
        self.gathered.foreign_keys = foreign;
        self.gathered.text += text.len();
        self.gathered.builds.push(Task {
            work: Work::Build(build, text),
            bytes,
            settings: self.settings.clone(),
            at,
            attempts: 0,
        });
        Ok(())
    }

    /// Does what was gathered.
    async fn settle(&mut self) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        if !gathered.rows.is_empty() {
            let tasks = self.rows_as_tasks(gathered.rows)?;
            let loaded = self.crew.run(tasks).await?;
            self.restored.rows += loaded.rows;
            self.restored.sent.extend(loaded.sent);
        }
        if !gathered.builds.is_empty() {
            self.crew.run(gathered.builds).await?;
        }
        for (text, at) in gathered.followers {
            self.lane().execute(&text, at).await?;
        }
        Ok(())
    }

    /// Cuts tables that would keep one session at work while the others have nothing left.
    fn rows_as_tasks(
        &mut self,
        rows: Vec<(Copy, TableName, Range, Settings)>,
    ) -> Result<Vec<Task>> {
        let mut runs: HashMap<TableName, usize> = HashMap::new();
        for (_, table, ..) in &rows {
            *runs.entry(table.clone()).or_default() += 1;
        }
        let mut tasks = Vec::with_capacity(rows.len());
        for (mut copy, table, range, settings) in rows {
            let large = range.length > WORTH_CUTTING && range.length > self.fair_share;
            let pieces = match &self.crew.source {
                // Twice as many as sessions: they will not all be equally quick.
                Some(source) if large && self.jobs > 1 => source.cut(range, self.jobs * 2)?,
                _ => vec![range],
            };
            // Only who has a table to himself can begin by emptying it, and only once.
            copy.fresh &= pieces.len() == 1 && runs.get(&table) == Some(&1);
            self.made.remove(&table);
            let at = copy.at;
            let copy = Arc::new(copy);
            tasks.extend(pieces.into_iter().map(|piece| Task {
                work: Work::Rows(Arc::clone(&copy), piece),
                bytes: piece.length,
                settings: settings.clone(),
                at,
                attempts: 0,
            }));
        }
        Ok(tasks)
    }
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.text > GATHERED_TEXT || self.builds.len() > GATHERED_TASKS
    }
}

/// What stands around large objects.
fn is_transaction(text: &[u8]) -> bool {
    ["BEGIN;", "COMMIT;"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

fn too_long(at: Position) -> Failure {
    let what =
        format!("restore: {at}: a statement is longer than 64 MiB, more than we keep in memory");
    Failure::new(FailureKind::Scratch, what).remedy(
        "dump without --inserts, or with fewer --rows-per-insert: rows as COPY may be of any size",
    )
}

/// COPY needs its table's name as text.
fn unnameable(at: Position) -> Failure {
    Failure::new(
        FailureKind::Scratch,
        format!("restore: {at}: load a table whose name is not text in the section's encoding"),
    )
    .remedy("rename the table at its source, or restore it with psql")
}

/// A statement whose bytes have no Unicode form, as one that the server reads as bytes: in a database of encoding
/// SQL_ASCII anything goes.
fn as_bytes(text: &[u8]) -> String {
    let hex = crate::ledger::hex(text);
    format!(
        "DO $pgvigil$ BEGIN EXECUTE convert_from(decode('{hex}', 'hex'), 'SQL_ASCII'); END $pgvigil$"
    )
}
