package main

// The rules of the terminal. Nothing outside this file prints.
//
//   - stdout carries the result and nothing else: a table, a report, JSON. It
//     is written at the end, so that an interrupted command leaves it empty.
//   - stderr carries all the rest: errors, warnings, progress, prompts.
//   - An error is "error: where: what" and below it, indented, the command to
//     run next. Errors are lower case and have no full stop.
//   - A prompt appears only when stdin and stderr are terminals. Otherwise the
//     question is an error that names the flag, with exit code 3.
//   - Colour and the progress line appear only on a terminal, and colour only
//     when NO_COLOR is empty and TERM is not "dumb". Progress waits a second.
//   - --json prints one JSON value on stdout, also when there is nothing to
//     list and when the command failed; so do the formats of verify.
//   - No connection string, password or secret is printed: everything that
//     goes to stderr passes through redact. The one exception is a new
//     secret of a client, once, on stdout.
//   - Text from the database may be anybody's: control and invisible characters
//     in it are replaced before they reach the terminal.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/internal/verify"
)

type terminal struct {
	in       io.Reader
	out, err io.Writer
	// asks says that a person is there to answer.
	asks bool
	// color is for stdout, progress for stderr.
	color, moves bool

	secrets  redactor
	progress progressLine
}

func newTerminal(in, out, err *os.File) *terminal {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	t := &terminal{
		in: in, out: out, err: err,
		asks:  isTerminal(in) && isTerminal(err),
		color: isTerminal(out) && !plain,
		moves: isTerminal(err) && os.Getenv("TERM") != "dumb",
	}
	t.progress.out = err
	return t
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// printf writes a part of the result.
func (t *terminal) printf(format string, args ...any) {
	t.done()
	fmt.Fprintf(t.out, format, args...)
}

// warnf writes a line to stderr.
func (t *terminal) warnf(format string, args ...any) {
	t.done()
	fmt.Fprintln(t.err, t.secrets.redact(fmt.Sprintf(format, args...)))
}

// stdout is for packages that show a person a part of the result before the end.
func (t *terminal) stdout() io.Writer { return stdoutWriter{t} }

type stdoutWriter struct{ t *terminal }

func (w stdoutWriter) Write(p []byte) (int, error) {
	w.t.done()
	return w.t.out.Write(p)
}

// stderr is for packages that write lines of their own.
func (t *terminal) stderr() io.Writer { return stderrWriter{t} }

type stderrWriter struct{ t *terminal }

func (w stderrWriter) Write(p []byte) (int, error) {
	w.t.done()
	if _, err := io.WriteString(w.t.err, w.t.secrets.redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// json writes v as the whole result.
func (t *terminal) json(v any) error {
	t.done()
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table writes rows in aligned columns; the first row is the heading.
func (t *terminal) table(rows [][]string) error {
	t.done()
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, visible(cell))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// visible replaces what a terminal would obey instead of show.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// failure prints err to stderr, and as the result with --json.
func (t *terminal) failure(cmd *cobra.Command, err error) {
	var already shown
	if err == nil || errors.As(err, &already) {
		return
	}
	if errors.Is(err, context.Canceled) {
		t.warnf("interrupted")
		return
	}
	var wrong *usageError
	if errors.As(err, &wrong) {
		t.warnf("error: %s\n\nUsage: %s\n       %s --help", visibleLines(wrong.what), useLine(wrong.command), wrong.command.CommandPath())
		return
	}
	refusals := t.refusals(err)
	refusals = again(cmd, refusals)
	for _, r := range refusals {
		t.warnf("error: %s", visibleLines(r.Error()))
	}
	if format := resultFormat(cmd); format != "" {
		cli, _ := versions()
		if err := verify.WriteFailure(t.out, format, cli, refusals); err != nil {
			t.warnf("error: stdout: %v", err)
		}
	}
}

// refusals are the reasons in err, without secrets.
func (t *terminal) refusals(err error) plan.Refusals {
	found, ok := plan.AsRefusals(err)
	if !ok {
		found = plan.Refusals{{Exit: exitEnvironment, What: err.Error()}}
	}
	var out plan.Refusals
	for _, r := range found {
		clean := *r
		clean.What, clean.Next = t.secrets.redact(r.What), t.secrets.redact(r.Next)
		out = append(out, &clean)
	}
	return out
}

// resultFormat is the format in which a program reads stdout, "" when a person does.
func resultFormat(cmd *cobra.Command) string {
	if asked, err := cmd.Flags().GetBool("json"); err == nil && asked {
		return verify.FormatJSON
	}
	formats, err := cmd.Flags().GetStringArray("format")
	if err != nil {
		return ""
	}
	for _, format := range formats {
		if !strings.Contains(format, "=") {
			return format
		}
	}
	return ""
}

// useLine is how a command is called.
func useLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " <command>"
	}
	return cmd.UseLine()
}

// visibleLines is visible for text of several lines.
func visibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, "\t"))
		lines[i] = strings.Repeat("    ", indent) + visible(line[indent:])
	}
	return strings.Join(lines, "\n")
}

// confirm asks a yes-or-no question; flag is the one that answers it yes.
func (t *terminal) confirm(ctx context.Context, question, flag string) (bool, error) {
	t.done()
	if !t.asks {
		return false, &plan.Refusal{Exit: exitEnvironment, What: "the question " + question + " is open and there is no terminal to ask on",
			Next: "run it again with " + flag}
	}
	answer, err := t.ask(ctx, question+" [y/N] ")
	if err != nil {
		return false, err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// ask reads one line. The end of input is an empty answer.
func (t *terminal) ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(t.err, prompt)
	type reply struct {
		line string
		err  error
	}
	replies := make(chan reply, 1)
	go func() {
		line, err := bufio.NewReader(t.in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		replies <- reply{strings.TrimSpace(line), err}
	}()
	select {
	case r := <-replies:
		return r.line, r.err
	case <-ctx.Done():
		// The reader is left behind; the process is about to end.
		fmt.Fprintln(t.err)
		return "", ctx.Err()
	}
}

// step says on the progress line what is being done; done removes the line.
func (t *terminal) step(what string) {
	if t.moves {
		t.progress.set(what)
	}
}

func (t *terminal) done() { t.progress.stop() }

// progressAfter is how long a command may work in silence.
var progressAfter = time.Second

// progressLine is a line on stderr that shows once a command has taken a
// second.
type progressLine struct {
	out   io.Writer
	mu    sync.Mutex
	text  string
	shown bool
	timer *time.Timer
}

func (p *progressLine) set(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
	if p.shown {
		p.draw()
	} else if p.timer == nil {
		p.timer = time.AfterFunc(progressAfter, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.timer != nil {
				p.draw()
			}
		})
	}
}

func (p *progressLine) draw() {
	p.shown = true
	fmt.Fprintf(p.out, "\r\x1b[K%s…", p.text)
}

func (p *progressLine) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.shown {
		p.shown = false
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
