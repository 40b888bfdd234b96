-- migrate:up
CREATE TABLE notes (id bigint PRIMARY KEY, text text NOT NULL);

-- migrate:down
DROP TABLE notes;
