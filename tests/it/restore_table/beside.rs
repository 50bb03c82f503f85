//! A table beside the live one, and one that is gone, back under its own name.

use super::stand::{assert_same, both, system};
use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::pgvigil;

#[test]
fn a_table_comes_beside_the_live_one_with_its_whole_definition() {
    for stand in both() {
        let shop = stand.shop();
        shop.psql("alter table orders disable trigger all; delete from orders; alter default privileges grant all on tables to clerk");
        let done = shop.restores(&["--table", "orders"], &["orders_restored*"]);
        assert!(
            done.stdout.contains("guard") && done.stdout.contains("orders_customer_fkey"),
            "{}",
            done.stdout
        );
        let original = stand.copy_of("shop");
        original.psql(
            "alter table orders disable trigger all; drop trigger guard on orders; drop trigger guard_always on orders; \
             alter table orders drop constraint orders_customer_fkey; alter table items drop constraint items_order_id_fkey",
        );
        original.psql(
            "alter table orders rename to orders_restored; alter sequence orders_id_seq rename to orders_restored_id_seq; \
             alter index orders_pkey rename to orders_restored_pkey; alter index orders_note rename to orders_restored_note; \
             alter index orders_id_customer_key rename to orders_restored_id_customer_key; alter index orders_id_excl rename to orders_restored_id_excl; \
             alter index by_twice rename to by_twice_restored; alter statistics orders_stats rename to orders_restored_stats",
        );
        let only = ["-t", "orders_restored"];
        assert_same(
            &without_names_of_not_null(&original.dump(&only)),
            &shop.dump(&only),
        );
        assert_eq!(
            shop.psql("select count(*) from orders"),
            "0",
            "the live table is as it was"
        );
        assert_eq!(
            shop.psql(
                "select nextval('orders_restored_id_seq'), (select last_value from orders_id_seq)"
            ),
            "2001|2000"
        );
        assert_eq!(shop.psql("select has_table_privilege('clerk', 'secrets', 'select'), has_table_privilege('reader', 'orders_restored', 'select')"), "t|t");
    }
}

/// From version 18 on these have names, which stay when a table is renamed.
fn without_names_of_not_null(dump: &str) -> String {
    dump.replace(" CONSTRAINT orders_id_not_null NOT NULL", " NOT NULL")
        .replace(" CONSTRAINT orders_at_not_null NOT NULL", " NOT NULL")
}

#[test]
fn a_new_name_may_be_chosen_and_must_be_free() {
    let shop = system().shop();
    shop.restores(
        &["--table", "public.tickets", "--as", "archive.\"Old T\""],
        &["archive.*"],
    );
    assert_eq!(
        shop.psql("select count(*), max(id) from archive.\"Old T\""),
        "30|30"
    );
    shop.psql("insert into archive.\"Old T\" (subject) values ('next')");
    assert_eq!(shop.psql("select max(id) from archive.\"Old T\""), "31");
    shop.fails(
        &["--table", "tickets", "--as", "archive.\"Old T\""],
        2,
        &["archive.Old T is there already", "--as"],
    );
    shop.fails(
        &["--table", "tickets", "--as", "customer_names"],
        2,
        &["is there already"],
    );
    shop.fails(
        &["--table", "tickets", "--as", "nowhere.x"],
        2,
        &["no schema nowhere"],
    );
    shop.fails(
        &["--table", "tickets", "--table", "queue", "--as", "x"],
        2,
        &["one name is for one table"],
    );
    shop.restores(&["--table", "tickets"], &["tickets_restored*"]);
    shop.fails(
        &["--table", "tickets"],
        2,
        &["tickets_restored is there already"],
    );
}

#[test]
fn names_of_every_kind_fit() {
    for stand in both() {
        let shop = stand.shop();
        shop.run(&[
            "--table",
            "\"Weird \"\"na.me'\\\"",
            "--table",
            "\"Ä*\"",
            "--table",
            "\"Äääääääääääääääääääääääääääääää\"",
        ])
        .exits(2);
        shop.run(&[
            "--table",
            "\"Weird \"\"na.me'\\\"",
            "--table",
            "\"Äääääääääääääääääääääääääääääää\"",
        ])
        .exits(0);
        assert_eq!(
            shop.psql("select count(*), count(\"select\") from \"Weird \"\"na.me'\\_restored\""),
            "4|3"
        );
        let names = shop.psql("select string_agg(relname, ',' order by relname collate \"C\") from pg_class where relname like '%restored%' and relname like 'Ä%'");
        assert_eq!(
            names.split(',').count(),
            4,
            "a table, a sequence, two indexes: {names}"
        );
        assert!(names.split(',').all(|name| name.len() <= 63), "{names}");
    }
}

#[test]
fn partitions_come_with_their_table() {
    for stand in both() {
        let shop = stand.shop();
        let done = shop.restores(
            &["--table", "events", "--table", "moods"],
            &["*_restored*", "archive.*_restored*"],
        );
        assert!(
            done.stdout.contains("1000 rows") || done.stdout.contains("1 000 rows"),
            "{}",
            done.stdout
        );
        let tree = "select count(*), count(*) filter (where isleaf) from pg_partition_tree";
        assert_eq!(shop.psql(&format!("{tree}('events_restored')")), "5|3");
        assert_eq!(shop.psql(&format!("{tree}('moods_restored')")), "3|2");
        assert_eq!(
            shop.psql("select count(*) from (table events except table events_restored) x, events"),
            "0"
        );
        assert_eq!(
            shop.psql("select count(*), sum(n) from moods_restored"),
            "100|5050"
        );
        assert_eq!(
            shop.psql("select count(*) from pg_index where not indisvalid"),
            "0"
        );
        let done = shop.restores(&["--table", "events_2025", "--as", "one"], &["one*"]);
        assert!(done.stdout.contains("ATTACH PARTITION"), "{}", done.stdout);
        assert_eq!(
            shop.psql("select relispartition from pg_class where relname = 'one'"),
            "f"
        );
        shop.fails(
            &["--table", "moods_0"],
            2,
            &["public.moods", "restore that one"],
        );
    }
}

#[test]
fn a_child_comes_with_its_parent_only() {
    let shop = system().shop();
    shop.fails(
        &["--table", "child"],
        2,
        &["inherits from table public.parent"],
    );
    shop.restores(&["--table", "child", "--table", "parent"], &["*_restored"]);
    assert_eq!(shop.psql("select count(*) from parent_restored"), "2");
    assert_eq!(shop.psql("select count(*) from parent"), "2");
}

#[test]
fn row_level_security_hides_what_it_hid() {
    let shop = system().shop();
    let done = shop.restores(&["--table", "secrets"], &["secrets_restored*"]);
    assert!(
        done.stdout.contains("policy") && done.stdout.contains("rule keep"),
        "{}",
        done.stdout
    );
    assert_eq!(
        shop.psql("set role reader; select count(*) from secrets_restored"),
        "0"
    );
    assert_eq!(shop.psql("select count(*) from secrets_restored"), "2");
}

#[test]
fn a_table_that_is_gone_comes_back_as_it_was() {
    for stand in both() {
        let shop = stand.shop();
        let before = shop.dump(&[]);
        shop.psql("drop table secrets, launches, events, pair_refs, pairs, items");
        shop.run(&[
            "--table",
            "secrets",
            "--table",
            "launches",
            "--table",
            "events",
            "--table",
            "pair_refs",
            "--table",
            "pairs",
            "--table",
            "items",
        ])
        .exits(0);
        // Whole tables are made in another order than they were, which a dump by name does not show.
        assert_same(&sorted(&before), &sorted(&shop.dump(&[])));
    }
}

/// Objects of a dump without OIDs to order them by.
fn sorted(dump: &str) -> String {
    let mut lines: Vec<_> = dump.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn what_others_had_on_a_lost_table_is_said() {
    let shop = system().shop();
    shop.psql("drop table orders cascade");
    let done = shop.restores(&["--table", "orders"], &["orders*"]);
    assert!(
        done.stdout.contains("items_order_id_fkey"),
        "{}",
        done.stdout
    );
    let check = "select (select count(*) from orders), (select count(*) from pg_trigger where tgrelid = 'orders'::regclass and not tgisinternal), \
         (select count(*) from pg_constraint where conrelid = 'orders'::regclass and contype = 'f')";
    assert_eq!(shop.psql(check), "2000|2|1");
    shop.psql("drop table orders; drop table customers cascade");
    let done = shop.restores(&["--table", "orders"], &["orders*"]);
    assert!(
        done.stdout.contains("no table public.customers"),
        "{}",
        done.stdout
    );
    // Rows whose own have changed: the key does not hold, and nothing is there.
    shop.psql("drop table orders; create table customers (id integer primary key); insert into customers values (1)");
    shop.fails(
        &["--table", "orders"],
        3,
        &["orders_customer_fkey", "nothing in database", "has changed"],
    );
    // Something in the way.
    shop.psql("create sequence orders_id_seq");
    shop.fails(
        &["--table", "orders"],
        2,
        &["public.orders_id_seq", "is there already"],
    );
}

#[test]
fn what_the_definition_needs_must_be_there() {
    let shop = system().shop();
    shop.psql("drop table moods; drop type mood; drop index by_twice; drop function twice");
    shop.fails(
        &["--table", "moods"],
        3,
        &["type \"public.mood\" does not exist", "make it there first"],
    );
    shop.fails(&["--table", "orders"], 3, &["twice", "nothing in database"]);
}

#[test]
fn roles_that_are_not_there_are_said_and_not_needed() {
    let stand = system();
    let shop = stand.shop();
    let archive = stand.foreign("roles.sql.gz", |text| {
        text.replace("TO reader;", "TO \"Gone Reader\";")
            .replace("TO shopkeeper;", "TO gone_keeper;")
    });
    let place = Place::new();
    let done = shop
        .restore(&place, &archive, "postgres")
        .args(["--table", "orders"])
        .run()
        .exits(0);
    for said in ["no role gone_keeper", "privileges of role Gone Reader"] {
        assert!(done.stdout.contains(said), "{}", done.stdout);
    }
    let owner = "select pg_get_userbyid(relowner), relacl is null from pg_class where relname = 'orders_restored'";
    assert_eq!(shop.psql(owner), "postgres|t");
    // One who may do little makes little, and it is his own.
    let done = shop
        .restore(&place, &stand.archive, "clerk")
        .args(["--table", "customers", "--as", "c2"])
        .run()
        .exits(0);
    assert!(done.stdout.contains("belongs to clerk"), "{}", done.stdout);
}

#[test]
fn any_encoding_comes_from_any_archive() {
    for stand in both() {
        let latin = stand.copy_of("latin");
        latin.run(&["--table", "\"Straße\""]).exits(0);
        let rows =
            latin.psql("select string_agg(\"Größe\", ',' order by n) from \"Straße_restored\"");
        assert_eq!(rows, "Käse,été,\u{ff}");
        // A pg_dump of one database, compressed by gzip.
        let place = Place::new();
        let path = place.join("one.sql.gz");
        let output = stand
            .server
            .client("pg_dump")
            .env_remove("PGCLIENTENCODING")
            .arg("latin")
            .output()
            .unwrap();
        std::fs::write(&path, gzip(&output.stdout)).unwrap();
        let url = format!(
            "host={} user=postgres dbname={}",
            stand.server.socket().display(),
            latin.name
        );
        pgvigil(&place)
            .args(["restore"])
            .about(&path)
            .args([
                "--to",
                &url,
                "--table",
                "\"Straße\"",
                "--as",
                "\"Weg\"",
                "--yes",
            ])
            .run()
            .exits(0);
        assert_eq!(
            latin.psql("select count(*) from \"Weg\" join \"Straße\" using (\"Größe\", n)"),
            "3"
        );
    }
}

#[test]
fn a_plan_changes_nothing_and_says_what_it_would() {
    let shop = system().shop();
    let before = shop.dump(&[]);
    let done = shop
        .run(&["--table", "orders", "--dry-run", "--json"])
        .exits(0);
    assert_same(&before, &shop.dump(&[]));
    let plan = done.json();
    let items = plan["items"].as_array().unwrap();
    let of = |action: &str| {
        let some = items.iter().filter(|item| item["action"] == action);
        some.map(|item| item["name"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("create"),
        ["public.orders_restored", "public.orders_restored_id_seq"]
    );
    assert_eq!(of("leave_alone"), ["public.orders"]);
    assert_eq!(plan["rows"], 2000);
    shop.fails(
        &["--table", "nowhere.x"],
        2,
        &["the backup has no such table"],
    );
}
