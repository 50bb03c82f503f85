//! `pgvigil extract`: SQL on standard output; a part of an archive of ours without reading the rest.

use std::fs::File;
use std::io::{BufWriter, Read, Write, stdout};
use std::path::Path;

use super::args::Args;
use super::{Verb, blocking, context};
use crate::archive::file::{self, Known};
use crate::archive::index::Index;
use crate::catalog::{Catalog, Database, Range, Table};
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::sql::encoding::is_utf8;
use crate::sql::name::{quote_columns, quote_literal, quote_qualified};
use crate::sql::token::Tokens;
use crate::{store, verify};

/// What to extract.
enum Part {
    /// Text of the dump as it is.
    Text(Range),
    /// Rows, with what a COPY of them needs around.
    Rows {
        before: String,
        data: Vec<Range>,
        after: &'static str,
    },
}

pub(super) async fn run(
    args: &Args,
    backup: &str,
    database: Option<&str>,
    table: Option<&str>,
) -> Verb {
    let (_, path) = context::backup(args, backup)?;
    let _held = store::remove::hold(&path);
    let manifest = store::current_manifest(&path)?;
    let indexed = manifest.as_ref().is_some_and(Manifest::is_ours);
    let catalog = match manifest {
        Some(manifest) => manifest.catalog,
        // Without a manifest the file itself has to say where things are: all of it is read first.
        None if database.is_some() => {
            verify::check(&path, &Progress::default())
                .await?
                .checked
                .catalog
        }
        None => Catalog {
            bytes: u64::MAX,
            ..Catalog::default()
        },
    };
    let part = choose(&catalog, database, table)?;
    blocking(move || {
        if indexed {
            from_index(&path, &part)
        } else {
            from_stream(&path, &part)
        }
    })
    .await?;
    Ok(())
}

fn choose(catalog: &Catalog, database: Option<&str>, table: Option<&str>) -> Result<Part> {
    let Some(name) = database else {
        return Ok(Part::Text(Range {
            offset: 0,
            length: catalog.bytes,
        }));
    };
    let found = catalog
        .databases
        .iter()
        .find(|database| database.name == name)
        .ok_or_else(|| {
            let there: Vec<_> = catalog.databases.iter().map(Database::label).collect();
            Failure::new(
                FailureKind::Usage,
                format!(
                    "extract database {name}: the backup has {}",
                    there.join(", ")
                ),
            )
        })?;
    let Some(wanted) = table else {
        return Ok(Part::Text(found.range));
    };
    rows(found, find_table(found, wanted)?)
}

fn find_table<'a>(database: &'a Database, wanted: &str) -> Result<&'a Table> {
    let what = || format!("extract table {wanted} of database {}", database.name);
    let mut tokens = Tokens::new(wanted.as_bytes());
    let (schema, name) = tokens
        .qualified_name()
        .filter(|_| tokens.peek().is_none())
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Usage,
                format!("{}: it is not a table's name", what()),
            )
            .remedy("write schema.table, quoted as in SQL")
        })?;
    let mut fitting = database.tables.iter().filter(|table| {
        table.name == name && schema.as_ref().is_none_or(|schema| *schema == table.schema)
    });
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Failure::new(
            FailureKind::Usage,
            format!("{}: the backup has no data of such a table", what()),
        )
        .remedy("see `pgvigil inspect` for the tables")),
        (Some(_), Some(_)) => Err(Failure::new(
            FailureKind::Usage,
            format!("{}: several schemas have one", what()),
        )
        .remedy("write schema.table")),
    }
}

fn rows(database: &Database, table: &Table) -> Result<Part> {
    if table.data.is_empty() {
        let what = format!(
            "extract table {}.{} of database {}: its rows are INSERT statements, which have no place of their own",
            table.schema,
            table.name,
            database.label()
        );
        return Err(Failure::new(FailureKind::Usage, what).remedy("extract the whole database"));
    }
    let copy = format!(
        "COPY {}{} FROM stdin;\n",
        quote_qualified(&table.schema, &table.name),
        quote_columns(&table.columns)
    );
    if !copy.is_ascii() && !is_utf8(&database.encoding) {
        let what = format!(
            "extract table {}.{}: its name has to be written in {}",
            table.schema, table.name, database.encoding
        );
        return Err(Failure::new(FailureKind::Usage, what).remedy("extract the whole database"));
    }
    let encoding = if database.encoding.is_empty() {
        "UTF8"
    } else {
        &database.encoding
    };
    let before = format!(
        "SET client_encoding = {};\nSET standard_conforming_strings = on;\n\n{copy}",
        quote_literal(encoding)
    );
    Ok(Part::Rows {
        before,
        data: table.data.clone(),
        after: "\\.\n",
    })
}

impl Part {
    fn ranges(&self) -> &[Range] {
        match self {
            Self::Text(range) => std::slice::from_ref(range),
            Self::Rows { data, .. } => data,
        }
    }

    /// Writes the part; `copy` writes the ranges.
    fn write(&self, copy: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, stdout().lock());
        let (before, after) = match self {
            Self::Text(_) => ("", ""),
            Self::Rows { before, after, .. } => (before.as_str(), *after),
        };
        out.write_all(before.as_bytes()).map_err(unwritten)?;
        copy(&mut out)?;
        out.write_all(after.as_bytes())
            .and_then(|()| out.flush())
            .map_err(unwritten)
    }
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::io("write to standard output", error)
}

fn from_index(path: &Path, part: &Part) -> Result<()> {
    let failed = |cause: crate::error::Cause| {
        Failure::new(
            FailureKind::Damaged,
            format!("read archive {}", path.display()),
        )
        .because(cause)
        .remedy("see `pgvigil verify` for what is wrong with it")
    };
    let file = File::open(path)
        .map_err(|error| Failure::io(format!("open archive {}", path.display()), error))?;
    let index = Index::read(&file).map_err(|error| failed(error.into()))?;
    part.write(|out| {
        let mut buffer = vec![0; 256 * 1024];
        for range in part.ranges() {
            let mut text = index.text(&file, *range);
            loop {
                let read = text
                    .read(&mut buffer)
                    .map_err(|error| failed(error.into()))?;
                if read == 0 {
                    break;
                }
                out.write_all(buffer.get(..read).unwrap_or(&[]))
                    .map_err(unwritten)?;
            }
        }
        Ok(())
    })
}

/// Any gzip file: one pass, of which the ranges are passed on.
fn from_stream(path: &Path, part: &Part) -> Result<()> {
    part.write(|out| {
        let last = part
            .ranges()
            .iter()
            .map(|range| range.offset.saturating_add(range.length))
            .max()
            .unwrap_or(0);
        let mut offset = 0u64;
        let mut written = Ok(());
        let mut sink = |text: &[u8]| {
            for range in part.ranges() {
                let from = usize::try_from(range.offset.saturating_sub(offset))
                    .unwrap_or(usize::MAX)
                    .min(text.len());
                let to = range
                    .offset
                    .saturating_add(range.length)
                    .saturating_sub(offset);
                let to = usize::try_from(to).unwrap_or(usize::MAX).min(text.len());
                if from < to && written.is_ok() {
                    written = out.write_all(text.get(from..to).unwrap_or(&[]));
                }
            }
            offset += text.len() as u64;
            written.is_ok() && offset < last
        };
        let read = file::read(path, Known::default(), &mut sink);
        let (_, summary) =
            read.map_err(|error| Failure::io(format!("read archive {}", path.display()), error))?;
        written.map_err(unwritten)?;
        match summary.findings.errors().next() {
            Some(finding) => Err(Failure::new(
                FailureKind::Damaged,
                format!(
                    "read archive {}: {}: {}",
                    path.display(),
                    finding.place,
                    finding.message
                ),
            )
            .remedy(finding.remedy.clone())),
            None => Ok(()),
        }
    })
}
