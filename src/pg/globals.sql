-- What belongs to no database; the form is that of objects.sql.
select 'role', oid, rolname !~ '^pg_', convert_to('i' || rolname, 'UTF8') from pg_roles
union all
select distinct 'membership', m.roleid, not (r.rolname ~ '^pg_' and u.rolname ~ '^pg_'), convert_to('i' || u.rolname || E'\x01r in \x01i' || r.rolname, 'UTF8')
  from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
union all
select 'tablespace', oid, spcname !~ '^pg_', convert_to('i' || spcname, 'UTF8') from pg_tablespace
union all
-- Settings of all roles are in no dump, and neither is a database that takes no connections.
select 'setting', greatest(s.setrole, s.setdatabase), (s.setrole <> 0 or s.setdatabase <> 0) and coalesce(d.datallowconn, true) and coalesce(r.rolname !~ '^pg_', true),
       convert_to('r' || lower(split_part(c.text, '=', 1)) || ' of ' ||
         case when s.setrole = 0 then E'database \x01i' || d.datname
              when s.setdatabase = 0 then E'role \x01i' || r.rolname
              else E'role \x01i' || r.rolname || E'\x01r in database \x01i' || d.datname end, 'UTF8')
  from pg_db_role_setting s cross join unnest(s.setconfig) c(text)
  left join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole
 where (s.setrole = 0 or r.oid is not null) and (s.setdatabase = 0 or d.oid is not null) and (s.setrole <> 0 or s.setdatabase <> 0)
