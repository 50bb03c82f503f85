//! From a request to a plan: the dump is read, the live database is asked, and nothing is changed.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::choose::{Choice, choose, name_of};
use super::definitions::Definitions;
use super::family::Family;
use super::fill::{self, list};
use super::live::{self, LiveTable};
use super::load::{Compare, Load};
use super::make::{self, Facts, Roots};
use super::name::Name;
use super::part::Kind;
use super::pattern::Pattern;
use super::{Mode, Planned, Request, Task, naming, source, work};
use crate::catalog::{Catalog, Database, Table};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::connect::{Session, Target};
use crate::sql::token::Tokens;

/// Plans a restore of tables. `catalog` is the backup's, from its manifest or from a pass over the file.
pub async fn plan(
    request: &Request,
    catalog: &Catalog,
    target: &Target,
    progress: &Progress,
) -> Result<Planned> {
    let section = find_section(request, catalog)?.clone();
    let patterns: Vec<Pattern> = request
        .patterns
        .iter()
        .map(|text| Pattern::parse(text))
        .collect::<Result<_>>()?;
    let (archive, reading, progress) = (request.archive.clone(), section.clone(), progress.clone());
    let definitions =
        tokio::task::spawn_blocking(move || source::definitions(&archive, &reading, &progress))
            .await
            .map_err(|error| {
                Failure::new(FailureKind::Io, "read the archive: a thread broke").because(error)
            })??;
    let family = Family::of(&definitions);
    let choice = choose(&patterns, &definitions, &family, &section)?;
    let rename = new_name(request, &choice)?;
    let (session, version) = work::open(target, &request.into, None).await?;
    let planning = Planning {
        request,
        section: &section,
        definitions: &definitions,
        family: &family,
        choice: &choice,
        session: &session,
        major: version.major,
    };
    let planned = match request.mode {
        Mode::NewName | Mode::Replace => Box::pin(planning.make(rename, &target.user)).await,
        Mode::Truncate | Mode::Append => Box::pin(planning.fill()).await,
    };
    session.close().await;
    planned
}

fn find_section<'a>(request: &Request, catalog: &'a Catalog) -> Result<&'a Database> {
    let what = format!("restore tables of database {}", request.database);
    let section = match (catalog.databases.as_slice(), request.database.as_str()) {
        ([only], "") => Some(only),
        (all, name) => all.iter().find(|database| database.name == name),
    };
    let section = section.ok_or_else(|| {
        let there: Vec<_> = catalog.databases.iter().map(Database::label).collect();
        Failure::new(
            FailureKind::Usage,
            format!("{what}: the backup has {}", there.join(", ")),
        )
        .remedy("name one of them with --database")
    })?;
    if !section.complete {
        let what = format!("{what}: the backup ends before the database's end marker");
        return Err(Failure::new(FailureKind::Damaged, what).remedy("use another backup"));
    }
    Ok(section)
}

/// The name typed for the only table.
fn new_name(request: &Request, choice: &Choice) -> Result<Option<Name>> {
    let Some(text) = &request.rename else {
        return Ok(None);
    };
    let wrong = |why: &str| {
        Err(Failure::new(
            FailureKind::Usage,
            format!("restore under the name {text}: {why}"),
        ))
    };
    if request.mode != Mode::NewName {
        return wrong(
            "a new name leaves the live table alone, so nothing is truncated, appended to or replaced",
        );
    }
    let [root] = choice.roots.as_slice() else {
        return wrong("one name is for one table, and several are meant");
    };
    let mut tokens = Tokens::new(text.as_bytes());
    let name = tokens.qualified_name().filter(|_| tokens.peek().is_none());
    let Some((schema, name)) = name else {
        return wrong("write new or schema.new, quoted as in SQL");
    };
    if name.is_empty() || name.len() > 63 {
        return wrong("a name has from 1 to 63 bytes");
    }
    Ok(Some(Name::new(
        schema.unwrap_or_else(|| root.schema.clone()),
        name,
    )))
}

struct Planning<'a> {
    request: &'a Request,
    section: &'a Database,
    definitions: &'a Definitions,
    family: &'a Family,
    choice: &'a Choice,
    session: &'a Session,
    major: u32,
}

impl Planning<'_> {
    /// The tables whose rows are restored.
    fn tables(&self) -> Vec<&Table> {
        self.section
            .tables
            .iter()
            .filter(|table| self.choice.root_of.contains_key(&name_of(table)))
            .collect()
    }

    /// Tables with rows that have tables with rows above or below them: where the rows of both come to lie, only the
    /// partitions' bounds know.
    fn mixed(&self) -> HashSet<Name> {
        let with_rows: HashSet<Name> = self.tables().into_iter().map(name_of).collect();
        let mut mixed = HashSet::new();
        for table in &with_rows {
            for above in self
                .family
                .above(table)
                .filter(|above| with_rows.contains(*above))
            {
                mixed.extend([table.clone(), above.clone()]);
            }
        }
        mixed
    }

    /// How a table is compared that holds nothing else afterwards.
    fn compare(&self, table: &Name, mixed: &HashSet<Name>, live: Option<&LiveTable>) -> Compare {
        if mixed.contains(table) {
            Compare::AsSent
        } else if self.family.is_partitioned(table) || live.is_some_and(|live| live.kind == "p") {
            Compare::ReadBackByQuery
        } else {
            Compare::ReadBack
        }
    }

    fn planned(&self, work: Task, loads: Vec<Load>, live: Vec<LiveTable>) -> Planned {
        Planned {
            request: self.request.clone(),
            encoding: self.section.encoding.clone(),
            work,
            loads,
            sequences: self.section.sequences.clone(),
            tables: self.choice.all.clone(),
            live,
            notes: self.choice.notes.clone(),
            refusals: self.choice.refusals.clone(),
        }
    }

    async fn make(&self, rename: Option<Name>, user: &str) -> Result<Planned> {
        let mut facts = Facts {
            user: user.to_owned(),
            ..Facts::default()
        };
        let live = self.ask_facts(&mut facts, rename.as_ref()).await?;
        let mut refusals = self.undefined();
        let mut notes = Vec::new();
        let replace = self.request.mode == Mode::Replace;
        let there: Vec<LiveTable> = self
            .choice
            .all
            .iter()
            .filter_map(|name| live.get(name).cloned())
            .collect();
        if replace {
            self.may_go(&there, &mut facts, &mut notes, &mut refusals)
                .await?;
        }
        let beside = |root: &Name| {
            let new = rename.is_some() || live.contains_key(root);
            (!replace && new).then(|| naming::beside(root, rename.as_ref()))
        };
        let roots: Roots = self
            .choice
            .roots
            .iter()
            .map(|root| (root.clone(), beside(root)))
            .collect();
        let made = make::make(self.choice, &roots, self.definitions, self.family, facts)?;
        let mixed = self.mixed();
        let loads = self.tables().into_iter().map(|table| Load {
            table: table.clone(),
            into: made.renames.of(&name_of(table)),
            compare: self.compare(&name_of(table), &mixed, None),
        });
        let loads = loads.collect();
        notes.extend(made.notes.iter().cloned());
        refusals.extend(made.refusals.iter().cloned());
        let dropped = if replace {
            there.iter().map(|table| table.name.clone()).collect()
        } else {
            Vec::new()
        };
        let work = Task::Make {
            made: Box::new(made),
            dropped,
        };
        let mut planned = self.planned(work, loads, there);
        planned.notes.append(&mut notes);
        planned.refusals.append(&mut refusals);
        Ok(planned)
    }

    /// Tables of which the dump has rows and no definition.
    fn undefined(&self) -> Vec<String> {
        self.choice
            .all
            .iter()
            .filter(|name| !self.family.is_defined(name))
            .map(|name| {
                format!(
                    "table {name}: the backup has its rows and not its definition (an extension's table, or a dump of data only): \
                     make the table, and restore its rows with --truncate or --append"
                )
            })
            .collect()
    }

    async fn ask_facts(
        &self,
        facts: &mut Facts,
        rename: Option<&Name>,
    ) -> Result<HashMap<Name, LiveTable>> {
        let about = self.definitions.about(&self.choice.all);
        let (mut roles, mut tablespaces) = (BTreeSet::new(), BTreeSet::new());
        let mut names: BTreeSet<Name> = self.choice.all.iter().cloned().collect();
        let mut schemas: BTreeSet<String> = names.iter().map(|name| name.schema.clone()).collect();
        schemas.extend(rename.map(|name| name.schema.clone()));
        for defined in about {
            match &defined.part.kind {
                Kind::Owner(role) => {
                    roles.insert(role.clone());
                }
                Kind::Grant(granted) => roles.extend(granted.iter().cloned()),
                Kind::ForeignKey(_, to) => {
                    names.insert(to.clone());
                }
                _ => {}
            }
            schemas.insert(defined.part.on.schema.clone());
            tablespaces.insert(defined.tablespace.clone());
        }
        let of = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
        let names: Vec<Name> = names.into_iter().collect();
        let live = live::tables(self.session, &names).await?;
        let is_table = |table: &&LiveTable| table.kind == "r" || table.kind == "p";
        facts.tables = live
            .values()
            .filter(is_table)
            .map(|table| table.name.clone())
            .collect();
        (facts.taken, facts.schemas) = live::taken(self.session, &of(schemas)).await?;
        facts.roles = live::roles(self.session, &of(roles)).await?;
        facts.tablespaces = live::tablespaces(self.session, &of(tablespaces)).await?;
        Ok(live)
    }

    /// Whether live tables may be dropped; the names that are free then.
    async fn may_go(
        &self,
        there: &[LiveTable],
        facts: &mut Facts,
        notes: &mut Vec<String>,
        refusals: &mut Vec<String>,
    ) -> Result<()> {
        for root in &self.choice.roots {
            if !there.iter().any(|table| table.name == *root) {
                refusals.push(format!(
                    "table {root}: the live database has no such table: leave --replace out, and it is made"
                ));
            }
        }
        for table in there {
            if table.kind != "r" && table.kind != "p" {
                refusals.push(format!("{} is no table in the live database", table.name));
            }
            if let Some(parent) = &table.parent
                && !self.choice.root_of.contains_key(parent)
            {
                refusals.push(format!(
                    "table {} is a part of table {parent}, and would not be afterwards: restore its rows with --truncate",
                    table.name
                ));
            }
            if !table.publications.is_empty() {
                notes.push(format!(
                    "table {} is in publications that the new one will not be in: {}: add it with ALTER PUBLICATION",
                    table.name,
                    table.publications.join(", ")
                ));
            }
        }
        let oids: Vec<u32> = there.iter().map(|table| table.oid).collect();
        let partitions = live::partitions(self.session, &oids).await?;
        if !partitions.is_empty() {
            refusals.push(format!(
                "the live tables have partitions that the backup does not have, and they would go: {}: restore under a new name",
                list(&partitions)
            ));
        }
        let dependants = live::dependants(self.session, &oids).await?;
        if !dependants.is_empty() {
            refusals.push(format!(
                "what depends on the live tables keeps them from being replaced: {}: restore the rows with --truncate, or drop that first",
                list(&dependants)
            ));
        }
        for name in live::owned(self.session, &oids).await? {
            facts.taken.give_back(&name);
        }
        Ok(())
    }

    /// Live partitions that are not restored.
    async fn more_partitions(&self, oids: &[u32]) -> Result<Vec<Name>> {
        let mut partitions = live::partitions(self.session, oids).await?;
        partitions.retain(|name| !self.choice.root_of.contains_key(name));
        Ok(partitions)
    }

    async fn fill(&self) -> Result<Planned> {
        let tables = self.tables();
        let names: Vec<Name> = tables.iter().map(|table| name_of(table)).collect();
        let live = live::tables(self.session, &self.choice.all).await?;
        let all: Vec<&LiveTable> = live.values().collect();
        let oids: Vec<u32> = all.iter().map(|table| table.oid).collect();
        let empty = self.request.mode == Mode::Truncate;
        // Rows that come through a partitioned table take the place of those of all its partitions.
        let through: Vec<u32> = all
            .iter()
            .filter(|table| table.kind == "p" && names.contains(&table.name))
            .map(|table| table.oid)
            .collect();
        let emptied = self.more_partitions(&through).await?;
        let mut stay = self.more_partitions(&oids).await?;
        stay.retain(|name| !emptied.contains(name));
        let fill = fill::fill(
            &tables,
            &fill::Live {
                tables: &live,
                pointing: &live::pointing(self.session, &oids).await?,
                periods: &live::periods(self.session, self.major, &oids).await?,
                more_partitions: if empty { &emptied } else { &[] },
                rights: live::rights(self.session, self.major).await?,
            },
            empty,
        );
        let mixed = self.mixed();
        let loads = tables.iter().zip(&names).map(|(table, name)| Load {
            table: (*table).clone(),
            into: name.clone(),
            compare: if empty {
                self.compare(name, &mixed, live.get(name))
            } else {
                Compare::AsSent
            },
        });
        let loads = loads.collect();
        let mut there: Vec<LiveTable> = live.into_values().collect();
        there.sort_by(|one, other| one.name.cmp(&other.name));
        let (notes, refusals) = (fill.notes.clone(), fill.refusals.clone());
        let mut planned = self.planned(Task::Fill { fill, empty }, loads, there);
        planned.notes.extend(notes);
        planned.refusals.extend(refusals);
        if !stay.is_empty() {
            planned.notes.push(format!(
                "partitions that the backup does not have stay as they are: {}",
                list(&stay)
            ));
        }
        if !empty {
            planned.notes.push(
                "content is compared as it is sent: the tables hold other rows too".to_owned(),
            );
        }
        Ok(planned)
    }
}
