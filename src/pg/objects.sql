-- Objects of a database outside of the system's schemas, named as sql::object names them. Names come in pieces, joined by
-- \x01, each led by a letter that says what it is: i an identifier, t a type, a arguments, r text as it stands.
-- `own` says that a dump must define it by itself: not what an extension brings, not what comes with something else.
with e(enc) as (
  select case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end
), member(classid, objid) as (
  select classid, objid from pg_depend where deptype = 'e'
), ns(oid, nspname, id) as (
  select oid, nspname, 'i' || nspname || E'\x01r.\x01i' from pg_namespace
   where nspname !~ '^pg_' and nspname <> 'information_schema'
), rel as (
  select c.oid, c.relname, c.relkind, c.relacl, c.relowner, c.relispartition, c.relrowsecurity, n.id || c.relname as id, n.id as ns,
         not exists (select from member m where m.classid = 'pg_class'::regclass and m.objid = c.oid) as own
    from pg_class c join ns n on n.oid = c.relnamespace
   where c.relpersistence <> 't'
), proc as (
  select p.oid, p.prokind, p.proacl, p.proowner, n.id || p.proname || E'\x01r(\x01a' || pg_get_function_identity_arguments(p.oid) || E'\x01r)' as id,
         not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i')) as own
    from pg_proc p join ns n on n.oid = p.pronamespace
), typ as (
  select t.oid, t.typtype, t.typacl, t.typowner, n.id || t.typname as id,
         not exists (select from member m where m.classid = 'pg_type'::regclass and m.objid = t.oid) as own
    from pg_type t join ns n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
   where (t.typtype in ('e', 'r', 'b', 'd') or t.typtype = 'p' and not t.typisdefined or t.typtype = 'c' and c.relkind = 'c')
     and not exists (select from pg_type a where a.typarray = t.oid)
), objects(kind, classid, oid, own, id) as (
  select 'schema', 'pg_namespace'::regclass, oid, true, 'i' || nspname from ns where nspname <> 'public'
  union all
  select case relkind when 'r' then 'table' when 'p' then 'table' when 'f' then 'foreign_table' when 'v' then 'view'
                      when 'm' then 'materialized_view' else 'sequence' end,
         'pg_class'::regclass, oid, own, id from rel where relkind in ('r', 'p', 'f', 'v', 'm', 'S')
  union all
  select 'partition', 'pg_class'::regclass, c.oid, c.own and p.own, c.id || E'\x01r of \x01' || p.id
    from rel c join pg_inherits i on i.inhrelid = c.oid join rel p on p.oid = i.inhparent
   where c.relispartition and c.relkind in ('r', 'p', 'f')
  union all
  select 'row_security', 'pg_class'::regclass, oid, own, id from rel where relrowsecurity
  union all
  -- pg_dump leaves out indexes that are not valid, such as what a failed CREATE INDEX CONCURRENTLY leaves behind.
  select 'index', 'pg_class'::regclass, i.indexrelid, t.own and c.own and i.indisready and (i.indisvalid or t.relkind = 'p'), c.id
    from pg_index i join rel c on c.oid = i.indexrelid join rel t on t.oid = i.indrelid
   where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
  union all
  -- Children inherit CHECK constraints, partitions foreign keys.
  select 'constraint', 'pg_constraint'::regclass, k.oid,
         t.own and case k.contype when 'c' then k.conislocal when 'f' then k.conparentid = 0 else true end,
         'i' || k.conname || E'\x01r on \x01' || t.id
    from pg_constraint k join rel t on t.oid = k.conrelid where k.contype in ('c', 'p', 'u', 'x', 'f')
  union all
  select 'constraint', 'pg_constraint'::regclass, k.oid, t.own, 'i' || k.conname || E'\x01r on \x01' || t.id
    from pg_constraint k join typ t on t.oid = k.contypid where k.contype = 'c'
  union all
  -- Version 12 has no tgparentid, and marks the triggers of partitions as internal.
  select 'trigger', 'pg_trigger'::regclass, g.oid, t.own and coalesce(to_jsonb(g) ->> 'tgparentid', '0') = '0',
         'i' || g.tgname || E'\x01r on \x01' || t.id
    from pg_trigger g join rel t on t.oid = g.tgrelid where not g.tgisinternal
  union all
  select 'rule', 'pg_rewrite'::regclass, r.oid, t.own, 'i' || r.rulename || E'\x01r on \x01' || t.id
    from pg_rewrite r join rel t on t.oid = r.ev_class where r.rulename <> '_RETURN'
  union all
  select 'policy', 'pg_policy'::regclass, p.oid, t.own, 'i' || p.polname || E'\x01r on \x01' || t.id
    from pg_policy p join rel t on t.oid = p.polrelid
  union all
  select case prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end, 'pg_proc'::regclass, oid, own, id from proc
  union all
  select case typtype when 'd' then 'domain' else 'type' end, 'pg_type'::regclass, oid, own, id from typ
  union all
  select 'cast', 'pg_cast'::regclass, c.oid,
         not exists (select from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = c.oid and d.deptype = 'i'),
         't' || format_type(c.castsource, null) || E'\x01r as \x01t' || format_type(c.casttarget, null)
    from pg_cast c where c.oid >= 16384
  union all
  select 'operator', 'pg_operator'::regclass, o.oid, o.oprcode <> 0,
         'i' || n.nspname || E'\x01r.' || o.oprname || E'(\x01t' || case o.oprleft when 0 then 'none' else format_type(o.oprleft, null) end
           || E'\x01r, \x01t' || case o.oprright when 0 then 'none' else format_type(o.oprright, null) end || E'\x01r)'
    from pg_operator o join ns n on n.oid = o.oprnamespace
  union all
  select 'operator_class', 'pg_opclass'::regclass, o.oid, true, n.id || o.opcname || E'\x01r using \x01i' || a.amname
    from pg_opclass o join ns n on n.oid = o.opcnamespace join pg_am a on a.oid = o.opcmethod
  union all
  -- One that holds nothing but its class may come with that.
  select 'operator_family', 'pg_opfamily'::regclass, o.oid, false, n.id || o.opfname || E'\x01r using \x01i' || a.amname
    from pg_opfamily o join ns n on n.oid = o.opfnamespace join pg_am a on a.oid = o.opfmethod
  union all
  select 'collation', 'pg_collation'::regclass, o.oid, true, n.id || o.collname from pg_collation o join ns n on n.oid = o.collnamespace
  union all
  select 'conversion', 'pg_conversion'::regclass, o.oid, true, n.id || o.conname from pg_conversion o join ns n on n.oid = o.connamespace
  union all
  select 'text_search_configuration', 'pg_ts_config'::regclass, o.oid, true, n.id || o.cfgname from pg_ts_config o join ns n on n.oid = o.cfgnamespace
  union all
  select 'text_search_dictionary', 'pg_ts_dict'::regclass, o.oid, true, n.id || o.dictname from pg_ts_dict o join ns n on n.oid = o.dictnamespace
  union all
  select 'text_search_parser', 'pg_ts_parser'::regclass, o.oid, true, n.id || o.prsname from pg_ts_parser o join ns n on n.oid = o.prsnamespace
  union all
  select 'text_search_template', 'pg_ts_template'::regclass, o.oid, true, n.id || o.tmplname from pg_ts_template o join ns n on n.oid = o.tmplnamespace
  union all
  select 'statistics', 'pg_statistic_ext'::regclass, o.oid, t.own, n.id || o.stxname
    from pg_statistic_ext o join ns n on n.oid = o.stxnamespace join rel t on t.oid = o.stxrelid
  union all
  select 'extension', 'pg_extension'::regclass, oid, oid >= 16384, 'i' || extname from pg_extension
  union all
  select 'language', 'pg_language'::regclass, oid, oid >= 16384, 'i' || lanname from pg_language where lanispl
  union all
  select 'event_trigger', 'pg_event_trigger'::regclass, oid, true, 'i' || evtname from pg_event_trigger
  union all
  select 'publication', 'pg_publication'::regclass, oid, true, 'i' || pubname from pg_publication
  union all
  -- pg_dump dumps them for a superuser only.
  select 'subscription', 'pg_subscription'::regclass, s.oid, current_setting('is_superuser') = 'on', 'i' || s.subname
    from pg_subscription s join pg_database d on d.oid = s.subdbid where d.datname = current_database()
  union all
  select 'foreign_data_wrapper', 'pg_foreign_data_wrapper'::regclass, oid, true, 'i' || fdwname from pg_foreign_data_wrapper
  union all
  select 'server', 'pg_foreign_server'::regclass, oid, true, 'i' || srvname from pg_foreign_server
  union all
  select 'user_mapping', 'pg_foreign_server'::regclass, srvid, true, case umuser when 0 then 'rPUBLIC' else 'i' || usename end || E'\x01r on \x01i' || srvname
    from pg_user_mappings
  union all
  select 'access_method', 'pg_am'::regclass, oid, true, 'i' || amname from pg_am where oid >= 16384
  union all
  select 'transform', 'pg_transform'::regclass, r.oid, true, 't' || format_type(r.trftype, null) || E'\x01r language \x01i' || l.lanname
    from pg_transform r join pg_language l on l.oid = r.trflang
  union all
  select 'grant', g.classid, g.oid, bool_or(g.own), case g.grantee when 0 then 'rPUBLIC' else 'i' || r.rolname end || E'\x01r on ' || g.id
    from (
      -- To the owner, a dump writes one only where some of the owner's own privileges were revoked.
      select 'pg_class'::regclass as classid, c.oid, c.own and a.grantee <> c.relowner as own, a.grantee,
             case c.relkind when 'S' then 'sequence' else 'table' end || E' \x01' || c.id as id
        from rel c, aclexplode(c.relacl) a where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')
      union all
      select 'pg_class'::regclass, c.oid, c.own and a.grantee <> c.relowner, a.grantee, E'table \x01' || c.id
        from rel c join pg_attribute t on t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped, aclexplode(t.attacl) a
      union all
      select 'pg_namespace'::regclass, n.oid, a.grantee <> n.nspowner and (n.nspname <> 'public' or a.grantee >= 16384), a.grantee,
             E'schema \x01i' || n.nspname
        from ns join pg_namespace n on n.oid = ns.oid, aclexplode(n.nspacl) a
      union all
      -- By default PUBLIC may execute functions, use types and connect to databases.
      select 'pg_proc'::regclass, p.oid, p.own and a.grantee not in (p.proowner, 0), a.grantee,
             case p.prokind when 'p' then 'procedure' else 'function' end || E' \x01' || p.id
        from proc p, aclexplode(p.proacl) a
      union all
      select 'pg_type'::regclass, t.oid, t.own and a.grantee not in (t.typowner, 0), a.grantee, E'type \x01' || t.id
        from typ t, aclexplode(t.typacl) a
      union all
      select 'pg_database'::regclass, d.oid, a.grantee not in (d.datdba, 0), a.grantee, E'database \x01i' || d.datname
        from pg_database d, aclexplode(d.datacl) a where d.datname = current_database()
    ) g left join pg_roles r on r.oid = g.grantee where g.grantee = 0 or r.oid is not null
   group by 2, 3, 5
)
select o.kind, o.oid, o.own and m.objid is null, convert_to(o.id, e.enc)
  from objects o cross join e left join member m on m.classid = o.classid and m.objid = o.oid
