-- A table with an index, joins, groups and deletions, all in memory.
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, shelf INTEGER, price REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < @ROWS@)
INSERT INTO item SELECT i, 'item number ' || (i * 7919 % 10007), i % 500, i * 0.25 FROM n;
CREATE INDEX by_name ON item(name);
CREATE TABLE shelf AS SELECT shelf AS id, count(*) AS items, group_concat(name) AS names
  FROM item GROUP BY shelf;
SELECT count(*), sum(length(names)) FROM shelf;
SELECT count(*) FROM item a JOIN item b ON a.name = b.name AND a.id < b.id;
UPDATE item SET name = upper(name) || ' revised' WHERE id % 3 = 0;
DELETE FROM item WHERE shelf % 2 = 0;
SELECT count(*), round(sum(price)), max(length(name)) FROM item;
