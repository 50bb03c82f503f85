//! Rows in place of the live ones, or added to them; whole tables replaced.

use super::stand::{assert_same, both, system};
use crate::support::place::Place;

#[test]
fn rows_take_the_place_of_the_live_ones() {
    for stand in both() {
        let shop = stand.shop();
        // Neither the time zone nor the format of bytea is that of the backup's session.
        let name = &shop.name;
        shop.psql(&format!("alter database {name} set timezone = 'Asia/Kathmandu'; alter database {name} set bytea_output = 'escape'"));
        let whole = shop.dump(&[]);
        shop.psql(
            "alter table orders disable trigger all; update orders set net = 0, note = 'lost'; insert into orders (id, at) values (0, now()); \
             alter table orders enable trigger all; alter table orders enable always trigger guard_always",
        );
        let items = shop.psql("select count(*) from items");
        let done = shop.restores(&["--table", "orders", "--truncate"], &["orders"]);
        assert!(
            done.stdout.contains("guard, guard_always"),
            "{}",
            done.stdout
        );
        assert_eq!(items, shop.psql("select count(*) from items"), "no cascade");
        assert_same(&whole, &shop.dump(&[]));
        let fires = "select string_agg(tgname || tgenabled::text, ',' order by tgname) from pg_trigger where tgrelid = 'orders'::regclass and not tgisinternal";
        assert_eq!(shop.psql(fires), "guardO,guard_alwaysA");
    }
}

#[test]
fn every_kind_of_table_is_filled() {
    for stand in both() {
        let shop = stand.shop();
        let whole = shop.dump(&[]);
        shop.psql("truncate nothing, tickets, events, moods, parent, child, pair_refs, \"Weird \"\"na.me'\\\"; alter table secrets disable rule keep; delete from secrets; alter table secrets enable rule keep");
        let tables = [
            "nothing",
            "tickets",
            "events",
            "moods",
            "parent",
            "child",
            "pair_refs",
            "secrets",
            "\"Weird \"\"na.me'\\\"",
        ];
        let mut args = vec!["--truncate"];
        args.extend(tables.iter().flat_map(|table| ["--table", table]));
        shop.run(&args).exits(0);
        assert_same(&whole, &shop.dump(&[]));
        assert_eq!(shop.psql("select count(*) from only parent"), "1");
        let latin = stand.copy_of("latin");
        let whole = latin.dump(&[]);
        latin.psql("update \"Straße\" set n = 0");
        latin.run(&["--table", "\"Straße\"", "--truncate"]).exits(0);
        assert_same(&whole, &latin.dump(&[]));
    }
}

#[test]
fn a_foreign_key_of_another_table_holds_or_nothing_happens() {
    for stand in both() {
        let shop = stand.shop();
        // An order that the backup does not have, with an item.
        shop.psql(
            "alter table orders disable trigger all; insert into orders (id, customer, at) values (5000, 1, now()), (5001, 1, now()); \
             alter table orders enable trigger all; insert into items values (5000, 1, 'x'), (5001, 1, 'x'), (5001, 2, 'x')",
        );
        shop.fails(
            &["--table", "orders", "--truncate"],
            3,
            &[
                "3 rows of table public.items point to no row of table public.orders",
                "items_order_id_fkey",
                "nothing in database",
            ],
        );
        // Both together fit again.
        shop.restores(
            &["--table", "orders", "--table", "items", "--truncate"],
            &["orders", "items"],
        );
        assert_eq!(shop.psql("select count(*) from items"), "3000");
    }
}

#[test]
fn foreign_keys_of_every_kind_are_asked_as_they_mean_it() {
    for stand in both() {
        let shop = stand.shop();
        // To a partitioned table: PostgreSQL keeps a copy of the key for each partition, and the row is in one of them only.
        shop.psql(
            "create table notes (id integer, day date, what text, foreign key (id, day, what) references events); \
             insert into notes select id, day, what from events limit 50",
        );
        shop.restores(
            &["--table", "events", "--truncate"],
            &["events*", "rest_of_2024"],
        );
        shop.psql("insert into events values (7777, '2025-02-03', 'a'); insert into notes values (7777, '2025-02-03', 'a')");
        shop.fails(
            &["--table", "events", "--truncate"],
            3,
            &["1 rows of table public.notes point to no row of table public.events"],
        );
        // Of a partitioned table.
        shop.psql("drop table notes; create table days (day date primary key); insert into days select distinct day from events; \
                   alter table events add foreign key (day) references days");
        shop.restores(
            &["--table", "events", "--truncate"],
            &["events*", "rest_of_2024"],
        );
        shop.psql("truncate events; delete from days where day = '2025-01-05'");
        shop.fails(
            &["--table", "events", "--truncate"],
            3,
            &["point to no row of table public.days", "events_day_fkey"],
        );
        // MATCH FULL takes no NULL beside a value; a key that was never valid is nobody's promise.
        let again = "alter table pair_refs drop constraint pair_refs_x_y_fkey; alter table pair_refs add foreign key (x, y) references pairs match full";
        shop.psql(&format!("truncate pair_refs; {again}"));
        shop.fails(
            &["--table", "pair_refs", "--append"],
            3,
            &["2 rows of table public.pair_refs"],
        );
        shop.psql(&format!("{again} not valid"));
        shop.restores(&["--table", "pair_refs", "--append"], &["pair_refs"]);
        // To itself.
        shop.psql("alter table tickets add constraint up foreign key (id) references tickets");
        shop.restores(&["--table", "tickets", "--truncate"], &["tickets"]);
    }
}

#[test]
fn a_foreign_key_to_another_table_holds_or_nothing_happens() {
    for stand in both() {
        let shop = stand.shop();
        shop.psql("alter table orders disable trigger all; delete from orders where customer in (1, 2); alter table orders enable trigger all; \
                   alter table items disable trigger all; delete from items; alter table items enable trigger all; delete from customers where id = 1");
        shop.fails(
            &["--table", "orders", "--truncate"],
            3,
            &[
                "40 rows of table public.orders point to no row of table public.customers",
                "orders_customer_fkey",
            ],
        );
        shop.fails(
            &["--table", "orders", "--append"],
            3,
            &["unique", "restore it under a new name"],
        );
        // Of two columns, rows with a NULL in them point nowhere and are none the worse.
        shop.psql("truncate pair_refs; delete from pairs where a = 20");
        shop.fails(
            &["--table", "pair_refs", "--append"],
            3,
            &["1 rows of table public.pair_refs"],
        );
        shop.psql("insert into pairs values (20, 20)");
        shop.restores(&["--table", "pair_refs", "--append"], &["pair_refs"]);
    }
}

#[test]
fn sequences_go_on_and_never_back() {
    for stand in both() {
        let shop = stand.shop();
        shop.psql("truncate tickets, queue, launches, log restart identity; alter sequence queue_id_seq restart with 700");
        shop.restores(
            &[
                "--table",
                "tickets",
                "--table",
                "queue",
                "--table",
                "launches",
                "--table",
                "log",
                "--truncate",
            ],
            &[
                "tickets",
                "queue",
                "launches",
                "log*",
                "countdown",
                "*_id_seq",
            ],
        );
        shop.psql("insert into tickets default values; insert into queue default values; insert into launches default values; insert into log (day) values ('2024-01-01')");
        assert_eq!(shop.psql("select (select max(id) from tickets), (select max(id) from queue), (select min(id) from launches), (select max(id) from log)"), "31|700|95|8");
    }
}

#[test]
fn rows_are_added() {
    for stand in both() {
        let shop = stand.shop();
        shop.psql(
            "truncate tickets; insert into tickets overriding system value values (1000, 'newer')",
        );
        let done = shop.restores(&["--table", "tickets", "--append"], &["tickets"]);
        assert!(
            done.stdout.contains("compared as it is sent"),
            "{}",
            done.stdout
        );
        assert_eq!(
            shop.psql("select count(*), max(id) from tickets"),
            "31|1000"
        );
        shop.fails(
            &["--table", "tickets", "--append"],
            3,
            &[
                "duplicate key",
                "tickets_pkey",
                "under a new name",
                "ON CONFLICT",
            ],
        );
        // One table of several fails: none is changed.
        shop.psql("truncate queue");
        shop.fails(
            &["--table", "queue", "--table", "tickets", "--append"],
            3,
            &["duplicate key"],
        );
    }
}

#[test]
fn columns_need_not_be_the_same_but_must_fit() {
    let shop = system().shop();
    shop.psql("alter table queue add added text default 'x', add stored integer generated always as (n + 1) stored; truncate queue");
    let done = shop.restores(&["--table", "queue", "--truncate"], &["queue"]);
    assert!(
        done.stdout.contains("get their defaults: added"),
        "{}",
        done.stdout
    );
    assert_eq!(
        shop.psql("select count(*), min(added), sum(stored) from queue"),
        "10|x|65"
    );
    shop.psql("alter table queue drop n cascade");
    shop.fails(
        &["--table", "queue", "--truncate"],
        2,
        &["lacks columns that the backup has (n)"],
    );
    shop.psql("alter table queue add n integer generated always as (1) stored");
    shop.fails(
        &["--table", "queue", "--append"],
        2,
        &["are generated in the live table (n)"],
    );
    shop.psql("alter table tickets add must integer; update tickets set must = 1; alter table tickets alter must set not null");
    shop.fails(
        &["--table", "tickets", "--truncate"],
        2,
        &["NOT NULL", "(must)"],
    );
    // Content that reads back otherwise: the column has another type now.
    shop.psql("alter table launches alter id type numeric(9,2)");
    shop.fails(
        &["--table", "launches", "--truncate"],
        1,
        &["their content differs", "nothing in database"],
    );
    shop.fails(
        &["--table", "customer_names", "--truncate"],
        2,
        &["has no such table"],
    );
    shop.psql("drop table pair_refs");
    shop.fails(
        &["--table", "pair_refs", "--truncate"],
        2,
        &["no such table: restore it without --truncate"],
    );
    shop.psql("create table events_2026 partition of events for values from ('2026-01-01') to ('2027-01-01'); create table moods_2 (like moods)");
    shop.restores(&["--table", "events", "--truncate"], &["events*"]);
    shop.fails(
        &["--table", "events", "--replace"],
        2,
        &["public.events_2026"],
    );
}

#[test]
fn a_table_is_replaced_with_its_definition() {
    for stand in both() {
        let shop = stand.shop();
        let whole = shop.dump(&[
            "--table=launches",
            "--table=secrets",
            "--table=events*",
            "--table=pair_refs",
        ]);
        shop.psql("alter table launches add x text; drop policy own on secrets; alter table events add y integer; truncate events; alter table pair_refs rename x to z");
        let tables = ["launches", "secrets", "events", "pair_refs"];
        let mut args = vec!["--replace"];
        args.extend(tables.iter().flat_map(|table| ["--table", table]));
        shop.restores(
            &args,
            &[
                "launches",
                "secrets",
                "events*",
                "rest_of_2024",
                "pair_refs",
                "archive.*",
            ],
        );
        assert_same(
            &whole,
            &shop.dump(&[
                "--table=launches",
                "--table=secrets",
                "--table=events*",
                "--table=pair_refs",
            ]),
        );
        shop.fails(
            &["--table", "customers", "--replace"],
            2,
            &[
                "view public.customer_names",
                "constraint orders_customer_fkey on table public.orders",
                "--truncate",
            ],
        );
        shop.psql("create function f(tickets) returns integer language sql as 'select 1'; create table uses (a integer default nextval('queue_id_seq'))");
        shop.fails(
            &["--table", "tickets", "--replace"],
            2,
            &["function public.f(public.tickets)"],
        );
        shop.fails(
            &["--table", "queue", "--replace"],
            2,
            &["default value for column a of table public.uses"],
        );
        shop.fails(
            &["--table", "events_2025", "--replace"],
            2,
            &["is a part of table public.events"],
        );
        shop.psql("drop table pairs cascade");
        let done = shop.restores(&["--table", "pair_refs", "--replace"], &["pair_refs"]);
        assert!(
            done.stdout.contains("no table public.pairs"),
            "{}",
            done.stdout
        );
        shop.psql("drop table pair_refs");
        shop.fails(
            &["--table", "pair_refs", "--replace"],
            2,
            &["leave --replace out"],
        );
    }
}

#[test]
fn an_owner_who_is_no_superuser_may_do_what_he_may() {
    let stand = system();
    let shop = stand.shop();
    let place = Place::new();
    let by_clerk = |args: &[&str]| {
        let archive = &stand.archive;
        shop.restore(&place, archive, "clerk").args(args).run()
    };
    let before = shop.dump(&[]);
    let refused = by_clerk(&["--table", "orders", "--truncate"]).exits(2);
    assert!(
        refused.sentence().contains("foreign keys point to it"),
        "{}",
        refused.stderr
    );
    let refused = by_clerk(&["--table", "tickets", "--truncate"]).exits(3);
    assert!(
        refused.sentence().contains("permission denied"),
        "{}",
        refused.stderr
    );
    assert_same(&before, &shop.dump(&[]));
    shop.psql("drop table items");
    let whole = shop.dump(&[]);
    shop.psql("alter table orders disable trigger all; delete from orders where id > 5; alter table orders enable trigger all; alter table orders enable always trigger guard_always");
    // What foreign keys ask, the owner asks.
    shop.psql("grant select, references on customers to shopkeeper");
    by_clerk(&["--table", "orders", "--truncate"]).exits(0);
    shop.psql("revoke select, references on customers from shopkeeper");
    assert_same(&whole, &shop.dump(&[]));
}

#[test]
fn patterns_mean_tables() {
    let shop = system().shop();
    let done = shop.restores(
        &["--table", "public.*s", "--table", "archive.rest*"],
        &["*_restored*", "archive.*_restored"],
    );
    for name in [
        "customers",
        "orders",
        "items",
        "tickets",
        "pair_refs",
        "events",
        "moods",
        "secrets",
        "launches",
    ] {
        assert!(
            done.stdout
                .contains(&format!("create table public.{name}_restored:")),
            "{name}: {}",
            done.stdout
        );
    }
    assert!(!done.stdout.contains("queue_restored"));
    assert_eq!(
        shop.psql("select count(*) from archive.rest_of_2024_restored"),
        shop.psql("select count(*) from archive.rest_of_2024")
    );
}
