BEGIN TRANSACTION;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    run_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    trial INTEGER,
    optimization_id TEXT,
    lm TEXT NOT NULL,
    paid INTEGER NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost_usd REAL,
    seconds REAL NOT NULL,
    error TEXT
);
INSERT INTO "calls" VALUES(1,'2026-11-27T14:03:25.167+00:00','test-run','optimize',1,'e01026a938b82bd3','scripted',1,89,2,0.0,0.0002,NULL);
INSERT INTO "calls" VALUES(2,'2026-11-27T14:03:25.178+00:00','test-run','optimize',1,'e01026a938b82bd3','scripted',1,89,2,0.0,0.0002,NULL);
INSERT INTO "calls" VALUES(3,'2026-11-27T14:03:25.186+00:00','test-run','optimize',1,'e01026a938b82bd3','scripted',1,89,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(4,'2026-11-27T14:03:25.190+00:00','test-run','optimize',1,'e01026a938b82bd3','scripted',1,89,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(5,'2026-11-27T14:03:25.198+00:00','test-run','optimize',1,'e01026a938b82bd3','scripted',1,89,2,0.0,0.0002,NULL);
INSERT INTO "calls" VALUES(6,'2026-11-27T14:03:25.201+00:00','test-run','optimize',1,'e01026a938b82bd3','scripted',1,89,2,0.0,0.0002,NULL);
INSERT INTO "calls" VALUES(7,'2026-11-27T14:03:25.219+00:00','test-run','optimize',NULL,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(8,'2026-11-27T14:03:25.229+00:00','test-run','optimize',NULL,'e01026a938b82bd3','scripted',1,202,6,0.0,0.0002,NULL);
INSERT INTO "calls" VALUES(9,'2026-11-27T14:03:25.242+00:00','test-run','optimize',NULL,'e01026a938b82bd3','scripted',1,199,6,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(10,'2026-11-27T14:03:25.251+00:00','test-run','optimize',NULL,'e01026a938b82bd3','scripted',1,204,6,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(11,'2026-11-27T14:03:25.322+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',0,NULL,NULL,NULL,0.0005,NULL);
INSERT INTO "calls" VALUES(12,'2026-11-27T14:03:25.325+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',0,NULL,NULL,NULL,0.0046,NULL);
INSERT INTO "calls" VALUES(13,'2026-11-27T14:03:25.332+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',0,NULL,NULL,NULL,0.0005,NULL);
INSERT INTO "calls" VALUES(14,'2026-11-27T14:03:25.339+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',0,NULL,NULL,NULL,0.0004,NULL);
INSERT INTO "calls" VALUES(15,'2026-11-27T14:03:25.346+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',0,NULL,NULL,NULL,0.0005,NULL);
INSERT INTO "calls" VALUES(16,'2026-11-27T14:03:25.349+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',0,NULL,NULL,NULL,0.0045,NULL);
INSERT INTO "calls" VALUES(17,'2026-11-27T14:03:25.388+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',1,96,2,0.0,0.0002,NULL);
INSERT INTO "calls" VALUES(18,'2026-11-27T14:03:25.395+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',1,96,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(19,'2026-11-27T14:03:25.399+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',1,96,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(20,'2026-11-27T14:03:25.408+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',1,96,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(21,'2026-11-27T14:03:25.411+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',1,96,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(22,'2026-11-27T14:03:25.418+00:00','test-run','optimize',2,'e01026a938b82bd3','scripted',1,96,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(23,'2026-11-27T14:03:25.431+00:00','test-run','optimize',3,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(24,'2026-11-27T14:03:25.433+00:00','test-run','optimize',3,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(25,'2026-11-27T14:03:25.435+00:00','test-run','optimize',3,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(26,'2026-11-27T14:03:25.446+00:00','test-run','optimize',3,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(27,'2026-11-27T14:03:25.449+00:00','test-run','optimize',3,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(28,'2026-11-27T14:03:25.452+00:00','test-run','optimize',3,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(29,'2026-11-27T14:03:25.477+00:00','test-run','optimize',4,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(30,'2026-11-27T14:03:25.481+00:00','test-run','optimize',4,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0003,NULL);
INSERT INTO "calls" VALUES(31,'2026-11-27T14:03:25.493+00:00','test-run','optimize',4,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(32,'2026-11-27T14:03:25.500+00:00','test-run','optimize',4,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(33,'2026-11-27T14:03:25.508+00:00','test-run','optimize',4,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
INSERT INTO "calls" VALUES(34,'2026-11-27T14:03:25.516+00:00','test-run','optimize',4,'e01026a938b82bd3','scripted',1,99,2,0.0,0.0001,NULL);
CREATE TABLE turns (  -- of the last minute, for limits per minute
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started REAL NOT NULL,
    tokens INTEGER NOT NULL
);
CREATE INDEX calls_by_optimization ON calls (optimization_id, paid);
DELETE FROM "sqlite_sequence";
COMMIT;
