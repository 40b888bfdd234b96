-- +goose Up
CREATE TABLE patients (id bigint PRIMARY KEY, name text NOT NULL);

-- +goose Down
DROP TABLE patients;
