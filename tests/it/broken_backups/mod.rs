//! One table: every way in which a backup can be broken, and who notices. What people use passes most of them; that is
//! asserted too, because it is why this program is there.
//!
//! Where a dump was altered, it is compressed again as any valid gzip file, the hardest form; the manifest beside it is
//! that of the true backup. The last column is a backup that we take while pg_dumpall leaves the same thing out: then the
//! server itself is the only witness, and of rows it is none.

mod edits;
mod peers;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use crate::support::archive::{gunzip, gzip};
use crate::support::fake;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::programs;
use crate::support::sample::Backup;
use crate::support::server::Server;
use edits::Dump;
use peers::Restores;

const SHOP: &str = include_str!("../support/shop.sql");

/// One way to be broken.
struct Broken {
    what: &'static str,
    /// The words that name it, in what we say.
    named: &'static str,
    /// Peers that notice it: g is gunzip -t, s psql with ON_ERROR_STOP, t the one transaction. psql alone notices nothing.
    noticed_by: &'static str,
    /// Whether the server shows it when the backup is taken.
    live: bool,
    edit: fn(Dump) -> Dump,
}

const fn broken(
    what: &'static str,
    named: &'static str,
    noticed_by: &'static str,
    live: bool,
    edit: fn(Dump) -> Dump,
) -> Broken {
    Broken {
        what,
        named,
        noticed_by,
        live,
        edit,
    }
}

fn owned(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

/// Field `index` of a row, and the row with another one there.
fn field(row: &str, index: usize) -> &str {
    row.split('\t').nth(index).unwrap()
}

fn with_field(row: &str, index: usize, value: &str) -> String {
    let mut fields: Vec<_> = row.split('\t').collect();
    fields[index] = value;
    fields.join("\t")
}

#[rustfmt::skip]
const ALL: &[Broken] = &[
    broken("a table is missing", "table public.paid", "", true, |dump| dump
        .without("CREATE TABLE public.paid ").without("ALTER TABLE public.paid ")
        .without("ALTER TABLE ONLY public.paid\n").without("CREATE VIEW public.open ").without("ALTER TABLE public.open ")
        .without_from("COPY public.paid ", "\\.\n")),
    broken("a table is empty", "table public.paid", "", false, |dump| dump.with_rows("paid", |_| vec![])),
    broken("one row is missing", "table public.paid", "", false, |dump| dump.with_rows("paid", |rows| owned(&rows[1..]))),
    broken("one row is there twice", "table public.refunded", "", false, |dump| dump.with_rows("refunded", |rows| owned(&[&rows[..], &rows[..1]].concat()))),
    broken("one byte of a value is another", "table public.paid", "", false, |dump| dump.with("40\t4000\n", "40\t4001\n")),
    broken("two tables have each other's rows", "table public.paid", "", false, |dump| {
        let (paid, refunded) = (dump.rows("paid"), dump.rows("refunded"));
        dump.with_rows("paid", |_| refunded.clone()).with_rows("refunded", |_| paid.clone())
    }),
    broken("a column's values moved by one row", "table public.orders", "", false, |dump| dump.with_rows("orders", |rows| {
        let from = rows.iter().cycle().skip(1);
        rows.iter().zip(from).map(|(row, next)| with_field(row, 2, field(next, 2))).collect()
    })),
    broken("sequences are lost", "sequence public.orders_id_seq", "", false, |dump| dump.without_lines("SELECT pg_catalog.setval(")),
    broken("a sequence's definition is missing", "sequence public.orders_id_seq", "", true, |dump| dump
        .without("CREATE SEQUENCE public.orders_id_seq").without("ALTER TABLE public.orders_id_seq ").without("ALTER SEQUENCE public.orders_id_seq ")
        .without("ALTER TABLE ONLY public.orders ALTER COLUMN id SET DEFAULT ").without_lines("SELECT pg_catalog.setval(")),
    broken("a column's default is missing", "ALTER COLUMN id SET DEFAULT", "", false, |dump| dump
        .without("ALTER TABLE ONLY public.orders ALTER COLUMN id SET DEFAULT ")),
    broken("a role is missing", "role boss", "", true, |dump| dump.without_lines("boss")),
    broken("a membership is missing", "membership boss in clerk", "", true, |dump| dump.without("GRANT clerk TO boss")),
    broken("a grant is missing", "grant to clerk on table public.orders", "", true, |dump| dump.without("GRANT SELECT ON TABLE public.orders TO clerk")),
    broken("an owner is another", "statement ALTER TABLE public.paid OWNER TO postgres;", "", false, |dump| dump
        .with("ALTER TABLE public.paid OWNER TO postgres;", "ALTER TABLE public.paid OWNER TO clerk;")),
    broken("a setting is missing", "setting timezone of database shop", "", true, |dump| dump.without("ALTER DATABASE shop SET ")),
    broken("an index is missing", "index public.orders_at", "", true, |dump| dump.without("CREATE INDEX orders_at ")),
    broken("a unique constraint is missing", "constraint paid_once on public.paid", "", true, |dump| dump.without("ALTER TABLE ONLY public.paid\n")),
    broken("a foreign key is missing", "constraint refund_of_order on public.refunded", "", true, |dump| dump.without("ALTER TABLE ONLY public.refunded\n")),
    broken("a trigger is missing", "trigger stamped on public.orders", "", true, |dump| dump.without("CREATE TRIGGER stamped ")),
    broken("a function is missing", "function public.total(since timestamp with time zone)", "", true, |dump| dump
        .without("CREATE FUNCTION public.total(").without("ALTER FUNCTION public.total(")),
    broken("a function does something else", "function public.total(since timestamp with time zone)", "", false, |dump| dump.with("WHERE at > since", "WHERE at < since")),
    broken("a view is missing", "view public.open", "", true, |dump| dump.without("CREATE VIEW public.open ").without("ALTER TABLE public.open ")),
    broken("a materialized view is never filled", "REFRESH MATERIALIZED VIEW public.cities", "", false, |dump| dump.without("REFRESH MATERIALIZED VIEW ")),
    broken("a policy is missing", "policy own on public.orders", "", true, |dump| dump.without("CREATE POLICY own ")),
    broken("row level security is off", "row level security of public.orders", "", true, |dump| dump.without("ALTER TABLE public.orders ENABLE ROW ")),
    broken("a database is missing", "database archive", "", true, |dump| dump.without_database("archive")),
    broken("a table is missing, its rows are not", "table public.refunded", "st", true, |dump| dump.without("CREATE TABLE public.refunded ")),
    broken("a role is missing, its grants are not", "role boss", "s", true, |dump| dump.without("CREATE ROLE boss;")),
    broken("it is cut in the rows of a table", "table public.paid", "", true, |dump| dump.cut_behind("\n20\t2000\n")),
    broken("it is cut between two databases", "database shop", "", true, |dump| {
        let end = dump.0.find("-- Database \"shop\" dump").unwrap();
        Dump(dump.0[..end].to_owned())
    }),
    broken("it is cut, and its end was forged", "table public.paid", "", true, |dump| dump.cut_behind("\n20\t2000\n").with_forged_end()),
    broken("the encoding is said to be another", "client_encoding", "", false, |dump| {
        let shop = dump.0.find("\\connect shop\n").unwrap();
        let (before, after) = dump.0.split_at(shop);
        Dump(format!("{before}{}", after.replace("client_encoding = 'UTF8'", "client_encoding = 'LATIN1'")))
    }),
];

/// The true backup, and the server it is of.
struct Truth {
    server: Server,
    backup: Backup,
    dump: Dump,
}

impl Truth {
    fn make() -> Self {
        let server = Server::start(&programs::system());
        server.script(SHOP, &[]);
        let place = Place::new();
        let backup = Backup::take_of(&server, &place);
        let text = gunzip(&place.archives()[0]);
        Self {
            dump: Dump(String::from_utf8(text).unwrap()),
            server,
            backup,
        }
    }

    /// The spoilt dump as a foreign file beside the true manifest; what verify and drill say of it.
    fn ours(&self, broken: &Broken, spoilt: &Dump) -> Vec<(&'static str, String)> {
        let place = Place::new();
        let path = self.backup.put(&place);
        fs::write(&path, gzip(spoilt.0.as_bytes())).unwrap();
        let mut said = vec![("gunzip -t", noticed(!peers::gunzip(&path)))];
        for job in ["verify", "drill"] {
            let done = pgvigil(&place)
                .on(&self.server, &place)
                .args([job, "--json"])
                .about(&path)
                .run();
            let report = done.exits(1).json().to_string().replace("\\\"", "\"");
            assert!(
                report.contains(broken.named),
                "{job}: {}: {report}",
                broken.what
            );
            said.push((
                if job == "verify" { "verify" } else { "drill" },
                noticed(true),
            ));
        }
        said.push(("backup", self.taken(broken, spoilt)));
        said
    }

    /// What we say when pg_dumpall writes this.
    fn taken(&self, broken: &Broken, spoilt: &Dump) -> String {
        let place = Place::new();
        let text = place.join("spoilt.sql");
        fs::write(&text, &spoilt.0).unwrap();
        let script = format!("cat '{}'", text.display());
        let fake = fake::dumpall(&place, self.server.programs(), &script);
        let done = pgvigil(&place)
            .reaching(&self.server)
            .args(["backup", "--pg-bin", fake.to_str().unwrap(), "--directory"])
            .about(&place.backups())
            .run();
        if !broken.live {
            done.exits(0);
            return "–".to_owned();
        }
        let done = done.exits(1);
        assert_eq!(
            place.ledger()[0]["reason"],
            "dump_incomplete",
            "{}",
            broken.what
        );
        assert_eq!(
            place.names(),
            Vec::<String>::new(),
            "{}: published",
            broken.what
        );
        let whole = !broken.what.contains("cut");
        assert!(
            !whole || done.sentence().contains(broken.named),
            "{}: {}",
            broken.what,
            done.stderr
        );
        noticed(true)
    }
}

fn noticed(yes: bool) -> String {
    if yes { "FOUND" } else { "passes" }.to_owned()
}

const COLUMNS: [&str; 7] = [
    "gunzip -t",
    "psql",
    "psql strict",
    "one transaction",
    "verify",
    "drill",
    "backup",
];

#[test]
fn every_broken_backup_is_found_by_name() {
    let truth = Truth::make();
    let cells: Mutex<BTreeMap<(usize, &str), String>> = Mutex::default();
    let spoilt: Vec<_> = ALL
        .iter()
        .map(|broken| (broken.edit)(truth.dump.clone()))
        .collect();
    // Each peer has a server to itself.
    let peer = |column: &'static str, restore: fn(&Restores, &Dump) -> bool| {
        let restores = Restores::on(Server::start(&programs::system()));
        assert!(
            restore(&restores, &truth.dump),
            "{column}: the true dump passes"
        );
        for (row, dump) in spoilt.iter().enumerate() {
            let said = noticed(!restore(&restores, dump));
            cells.lock().unwrap().insert((row, column), said);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| peer("psql", Restores::psql));
        scope.spawn(|| peer("psql strict", Restores::strict));
        scope.spawn(|| peer("one transaction", Restores::one_transaction));
        for (row, broken) in ALL.iter().enumerate() {
            for (column, said) in truth.ours(broken, &spoilt[row]) {
                cells.lock().unwrap().insert((row, column), said);
            }
        }
    });
    let cells = cells.into_inner().unwrap();
    eprintln!("{}", table(&cells));
    for (row, broken) in ALL.iter().enumerate() {
        for (column, letter) in [
            ("gunzip -t", 'g'),
            ("psql", 'p'),
            ("psql strict", 's'),
            ("one transaction", 't'),
        ] {
            let wanted = noticed(broken.noticed_by.contains(letter));
            assert_eq!(cells[&(row, column)], wanted, "{}: {column}", broken.what);
        }
    }
}

fn table(cells: &BTreeMap<(usize, &str), String>) -> String {
    let mut table = format!("{:40}", "the backup");
    COLUMNS
        .iter()
        .for_each(|column| table.push_str(&format!(" | {column:15}")));
    for (row, broken) in ALL.iter().enumerate() {
        table.push_str(&format!("\n{:40}", broken.what));
        for column in COLUMNS {
            table.push_str(&format!(" | {:15}", cells[&(row, column)]));
        }
    }
    table
}

/// A backup of another day is whole. Its manifest says which day; and without one, how old its rows are.
#[test]
fn a_stale_backup_is_found() {
    let truth = Truth::make();
    truth.server.psql(
        "shop",
        "INSERT INTO public.orders (customer, city, at) VALUES ('Zoé', 'Genève', now())",
    );
    let place = Place::new();
    let newer = loop {
        // Names hold the second.
        let newer = Backup::take_of(&truth.server, &Place::new());
        if newer.name != truth.backup.name {
            break newer;
        }
    };
    let is_found = |path: &Path, job: &str, says: &str| {
        let command = pgvigil(&place).on(&truth.server, &place);
        let done = command.args([job]).about(path).run().exits(1);
        assert!(done.sentence().contains(says), "{says}: {}", done.stderr);
    };
    // Only the file was exchanged: the manifest knows what should be there.
    let path = newer.put(&place);
    fs::write(&path, gzip(truth.dump.0.as_bytes())).unwrap();
    is_found(&path, "verify", "SHA-256");
    // The manifest with it.
    fs::write(&path, &truth.backup.archive).unwrap();
    fs::write(
        format!("{}.manifest.json", path.display()),
        &truth.backup.manifest,
    )
    .unwrap();
    for job in ["verify", "drill"] {
        is_found(
            &path,
            job,
            &format!("it was published as {}", truth.backup.name),
        );
    }
    // A foreign file: nothing but its rows says how old it is.
    fs::remove_file(format!("{}.manifest.json", path.display())).unwrap();
    let drill = |config: &Path| {
        pgvigil(&place)
            .args(["drill", "--config"])
            .about(config)
            .about(&path)
            .run()
    };
    let config = place.join("pgvigil.yaml");
    let text = format!(
        "servers:
  - name: shop
    directory: '{}'
    pg_bin: '{}'
    drill:
      schedule: never
      freshness: [ {{ database: shop, table: orders, column: at, max_age: 2d }} ]
",
        place.backups().display(),
        truth.server.programs().directory.display(),
    );
    fs::write(&config, text).unwrap();
    fs::write(&path, &newer.archive).unwrap();
    drill(&config).exits(0);
    fs::write(&path, gzip(truth.dump.0.as_bytes())).unwrap();
    let done = drill(&config).exits(1);
    let says = "freshness of orders.at of database shop";
    assert!(done.sentence().contains(says), "{}", done.stderr);
}
