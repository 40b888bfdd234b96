package dbtest

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// enginePlan is what an engine says of one execution.
type enginePlan struct {
	// touched counts rows that were looked at, whether or not they were wanted.
	// SQLite does not tell.
	touched int
	indexes []string
	flaws   []string
}

// explainPostgres runs the statement with its parameters and takes it back, and
// asks again for the plan that a prepared statement gets once the server stops
// looking at parameters.
func (c *spiedConn) explainPostgres(ctx context.Context, query string, args []driver.NamedValue) (plan enginePlan, err error) {
	begin, end := []string{"SAVEPOINT planned"}, []string{"ROLLBACK TO SAVEPOINT planned", "RELEASE SAVEPOINT planned"}
	if !c.inTx {
		begin, end = []string{"BEGIN"}, []string{"ROLLBACK"}
	}
	if err := c.planExec(ctx, begin...); err != nil {
		return plan, err
	}
	defer func() { err = errors.Join(err, c.planExec(ctx, end...)) }()
	if err := c.planRead(ctx, &plan, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+query, args); err != nil {
		return plan, err
	}
	prepared := "PREPARE planned AS " + query
	if err := c.planExec(ctx, "SET LOCAL plan_cache_mode = force_generic_plan", prepared); err != nil {
		return plan, err
	}
	var generic enginePlan
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(args)), ", ")
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	err = c.planRead(ctx, &generic, "EXPLAIN (FORMAT JSON) EXECUTE planned"+nulls, nil)
	for _, flaw := range generic.flaws {
		plan.flaws = append(plan.flaws, flaw+", without looking at the parameters")
	}
	return plan, errors.Join(err, c.planExec(ctx, "DEALLOCATE planned"))
}

func (c *spiedConn) planExec(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// planRows returns the last column of each row.
func (c *spiedConn) planRows(ctx context.Context, query string, args []driver.NamedValue) ([]string, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		switch last := values[len(values)-1].(type) {
		case string:
			all = append(all, last)
		case []byte:
			all = append(all, string(last))
		default:
			return nil, fmt.Errorf("a plan in a %T", last)
		}
	}
}

// postgresNode is a node of PostgreSQL's plan.
type postgresNode struct {
	Type     string   `json:"Node Type"`
	Relation string   `json:"Relation Name"`
	Index    string   `json:"Index Name"`
	Arbiters []string `json:"Conflict Arbiter Indexes"`
	Loops    float64  `json:"Actual Loops"`
	Rows     float64  `json:"Actual Rows"`
	Filtered float64  `json:"Rows Removed by Filter"`
	Joined   float64  `json:"Rows Removed by Join Filter"`
	Recheck  float64  `json:"Rows Removed by Index Recheck"`
	Plans    []postgresNode
}

func (c *spiedConn) planRead(ctx context.Context, plan *enginePlan, query string, args []driver.NamedValue) error {
	text, err := c.planRows(ctx, query, args)
	if err != nil {
		return err
	}
	var roots []struct{ Plan postgresNode }
	if err := json.Unmarshal([]byte(strings.Join(text, "\n")), &roots); err != nil {
		return err
	}
	for _, root := range roots {
		plan.addPostgres(root.Plan)
	}
	return nil
}

func (p *enginePlan) addPostgres(n postgresNode) {
	if strings.HasSuffix(n.Type, "Scan") && (n.Relation != "" || n.Index != "") {
		p.touched += int(n.Loops * (n.Rows + n.Filtered + n.Joined + n.Recheck))
	}
	if n.Type == "Seq Scan" && n.Relation != "lockspire_meta" {
		p.flaws = append(p.flaws, "reads all of "+n.Relation)
	}
	if n.Index != "" {
		p.indexes = append(p.indexes, n.Index)
	}
	p.indexes = append(p.indexes, n.Arbiters...)
	for _, child := range n.Plans {
		p.addPostgres(child)
	}
}

var (
	sqliteIndex  = regexp.MustCompile(`USING (?:COVERING )?INDEX (\S+)`)
	sqliteOneRow = regexp.MustCompile(`^SCAN (CONSTANT ROW|lockspire_meta$|\(subquery)`)
)

// explainSQLite reads the plan; SQLite runs nothing for it.
func (c *spiedConn) explainSQLite(ctx context.Context, query string, args []driver.NamedValue) (enginePlan, error) {
	var plan enginePlan
	steps, err := c.planRows(ctx, "EXPLAIN QUERY PLAN "+query, args)
	for _, step := range steps {
		if match := sqliteIndex.FindStringSubmatch(step); match != nil {
			plan.indexes = append(plan.indexes, match[1])
		}
		if strings.HasPrefix(step, "SCAN ") && !sqliteOneRow.MatchString(step) {
			plan.flaws = append(plan.flaws, step)
		}
		if strings.Contains(step, "AUTOMATIC") {
			plan.flaws = append(plan.flaws, "builds an index for itself: "+step)
		}
	}
	return plan, err
}
