package lockspire

import (
	"context"
	"regexp"
	"strconv"
	"strings"
)

// step is one statement of a transaction with its parameters: an UPDATE that ends
// in a WHERE of conditions that all have to hold, or an INSERT that ends in VALUES,
// so that a chain can make either hang on another statement.
type step struct {
	query string
	args  []any
}

// run runs a step as a statement by itself.
func (t tx) run(ctx context.Context, s step) error {
	_, err := t.exec(ctx, s.query, s.args...)
	return err
}

// runAll runs steps one after the other.
func (t tx) runAll(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		if err := t.run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// maxChain is how many steps a chain has at most.
const maxChain = 5

// chain runs steps in one transaction, of which the first decides: where it
// changes no row, which has to be one at most, nothing is changed and won is
// false. The last step is the INSERT of the audit row.
//
// It is for the transactions that are made most. On PostgreSQL a chain is one
// statement, and so one round trip where five statements with their BEGIN and
// COMMIT are seven; in SQLite a statement is a function call. The parts of the one
// statement see the rows as they were when it began, so no step builds on what
// another one wrote; only the first is asked again about a row that it had to wait
// for.
func (s *store) chain(ctx context.Context, steps ...step) (won bool, err error) {
	if s.dialect == PostgreSQL {
		joined := s.joinSteps(steps)
		err = s.writeStatement(ctx, func(t tx) error {
			won, err = claimed(t.exec(ctx, joined.query, joined.args...))
			return err
		})
		return won && err == nil, err
	}
	err = s.write(ctx, func(t tx) error {
		won, err = claimed(t.exec(ctx, steps[0].query, steps[0].args...))
		if err != nil || !won {
			return err
		}
		return t.runAll(ctx, steps[1:]...)
	})
	return won && err == nil, err
}

// joinSteps makes one statement of a chain. Its last step is the statement itself
// and the others are in its WITH, so that the row which it reports is that one's.
func (s *store) joinSteps(steps []step) step {
	if len(steps) == 1 {
		return steps[0]
	}
	var key [maxChain]string
	var all step
	for i, one := range steps {
		key[i] = one.query
		all.args = append(all.args, one.args...)
	}
	if known, ok := s.joined.Load(key); ok {
		all.query = known.(string)
		return all
	}
	var text strings.Builder
	text.WriteString("WITH decided AS (" + steps[0].query + " RETURNING 1)")
	before := len(steps[0].args)
	for i, one := range steps[1:] {
		query := renumber(one.query, before)
		before += len(one.args)
		if into, values, inserts := strings.Cut(query, "VALUES ("); inserts {
			query = into + "SELECT " + strings.TrimSuffix(values, ")") + " WHERE EXISTS (SELECT 1 FROM decided)"
		} else {
			query += " AND EXISTS (SELECT 1 FROM decided)"
		}
		if i+2 < len(steps) {
			query = ", step" + strconv.Itoa(i+1) + " AS (" + query + ")"
		}
		text.WriteString(" " + query)
	}
	all.query = text.String()
	s.joined.Store(key, all.query)
	return all
}

var placeholder = regexp.MustCompile(`\$\d+`)

// renumber has the placeholders of a query begin after the first before.
func renumber(query string, before int) string {
	return placeholder.ReplaceAllStringFunc(query, func(mark string) string {
		n, _ := strconv.Atoi(mark[1:])
		return "$" + strconv.Itoa(before+n)
	})
}
