-- +goose Up
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE);

-- +goose Down
DROP TABLE users;
