-- What PostgreSQL answers on Crossfoot and without: hashes, sorts, text, JSON, errors that are caught, and workers.
set max_parallel_workers_per_gather = 2;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
set work_mem = '1MB';
create table t as
    select i, (i * 7919) % 10007 as k, md5(i::text) as h, repeat(chr(97 + i % 26), i % 200) as w
    from generate_series(1, 60000) as i;
create index on t (k, h);
analyze t;
select count(*), sum(k), min(h), max(h), sum(length(w)) from t;
select a.k % 13 as g, count(*), sum(length(b.w)) from t a join t b on a.k = b.i group by 1 order by 1;
select k, h from t order by h desc, k limit 5;
select i, k, rank() over (partition by k % 100 order by h) from t where i % 7000 = 0 order by 1;
select md5(string_agg(h, ',' order by w, h)) from t;
select length(jsonb_agg(jsonb_build_object('i', i, 'w', w, 'a', array[i, k]))::text) from t where i <= 20000;
select md5(string_agg(x ->> 'h', '' order by (x ->> 'i')::int)) from
    (select to_jsonb(t) || '{"more": [1, 2, {"a": null}]}' as x from t where i % 3 = 0) as y;
select count(*), sum(length(regexp_replace(h, '[a-f]+', '<\&>', 'g'))) from t where h ~ '^(ab|cd|0)+[0-9]';
with recursive f(n, a, b) as (select 1, 0::numeric, 1::numeric union all select n + 1, b, a + b from f where n < 2000)
    select n, md5(a::text) from f where n % 500 = 0;
create function caught(n int) returns int language plpgsql as $$
declare
    bad int := 0;
    parts text[] := '{}';
begin
    for i in 1..n loop
        begin
            parts := parts || repeat('x', i % 50);
            if i % 3 = 0 then
                perform 1 / (i % 3);
            end if;
        exception when division_by_zero then
            bad := bad + 1;
        end;
    end loop;
    return bad + array_length(parts, 1);
end $$;
select caught(3000);
create table u (i int primary key, x xml, a numeric[], v tsvector);
insert into u select i, xmlelement(name e, xmlattributes(i as n), repeat('y', i % 90)),
    array(select j::numeric / 7 from generate_series(1, i % 20) as j), to_tsvector('english', 'runs of word' || i || ' ran')
    from generate_series(1, 5000) as i;
update u set a = a || 1.5 where i % 2 = 0;
delete from u where i % 5 = 0;
select count(*), sum(array_length(a, 1)), sum(length(x::text)), count(*) filter (where v @@ 'run'::tsquery) from u;
select (xpath('/e/@n', x))[1] from u order by i desc limit 3;
vacuum full u;
set jit = on;
set jit_above_cost = 0;
set jit_inline_above_cost = 0;
set jit_optimize_above_cost = 0;
select k % 5 as g, sum(i * 2.5 + k), avg(length(w)), count(*) filter (where h < '8' and k > 100) from t group by 1 order by 1;
select sum(case when i % 3 = 0 then k when i % 3 = 1 then -k else length(h) end) from t;
