package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lockspire/lockspire/internal/plan"
)

// session is a terminal on buffers.
func session(t *testing.T, input string) (term *terminal, out, errs *bytes.Buffer) {
	t.Helper()
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	return &terminal{in: strings.NewReader(input), out: out, err: errs, progress: progressLine{out: errs}}, out, errs
}

func TestErrorsMapToNamedExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{shown(exitFindings), exitFindings},
		{&usageError{what: "x"}, exitUsage},
		{&plan.Refusal{Exit: exitFindings}, exitFindings},
		{fmt.Errorf("wrapped: %w", plan.Refusals{{Exit: exitFindings}, {Exit: exitEnvironment}}), exitEnvironment},
		{context.Canceled, exitEnvironment},
		{fmt.Errorf("stopped: %w", context.Canceled), exitEnvironment},
		{errors.New("anything else"), exitEnvironment},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v gives %d, want %d", tc.err, got, tc.want)
		}
	}
}

// A4: an interrupt ends with 3 and leaves stdout empty, with --json too.
func TestInterruptEndsWith3AndNothingOnStdout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if conn, err := listener.Accept(); err == nil {
			cancel() // the command waits for an answer that never comes
			defer conn.Close()
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond)
		}
	}()
	term, out, errs := session(t, "")
	code := run(ctx, []string{"client", "list", "--json", "--database-url", "postgres://ada:hunter22@" + listener.Addr().String() + "/app?sslmode=disable"}, term)
	if code != exitEnvironment || out.Len() != 0 || errs.String() != "interrupted\n" {
		t.Errorf("exit %d\nstdout %q\nstderr %q", code, out, errs)
	}
}

func TestQuestionsNeedATerminal(t *testing.T) {
	term, out, errs := session(t, "y\n")
	if _, err := term.confirm(t.Context(), "Write?", "--yes"); exitCode(err) != exitEnvironment || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("got %v", err)
	}
	if out.Len()+errs.Len() != 0 {
		t.Errorf("printed %q %q", out, errs)
	}
	for input, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "yess\n": false} {
		term, out, errs := session(t, input)
		term.asks = true
		got, err := term.confirm(t.Context(), "Write?", "--yes")
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", input, got, err)
		}
		if out.Len() != 0 || errs.String() != "Write? [y/N] " {
			t.Errorf("stdout %q, stderr %q", out, errs)
		}
	}
}

func TestInterruptEndsAQuestion(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	term, _, _ := session(t, "")
	term.in, term.asks = r, true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := term.confirm(ctx, "Write?", "--yes"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestProgressShowsOnlyOnATerminalAndIsRemoved(t *testing.T) {
	term, _, errs := session(t, "")
	term.step("working")
	term.done()
	if errs.Len() != 0 {
		t.Errorf("no terminal, and %q", errs)
	}
	term.moves = true
	term.step("working")
	term.done()
	if errs.Len() != 0 {
		t.Errorf("not a second, and %q", errs)
	}
	term.step("working")
	term.progress.mu.Lock()
	term.progress.draw() // what the timer does
	term.progress.mu.Unlock()
	term.warnf("warning")
	if got := errs.String(); got != "\r\x1b[Kworking…\r\x1b[Kwarning\n" {
		t.Errorf("got %q", got)
	}
}

func TestTextOfOthersCannotDriveTheTerminal(t *testing.T) {
	term, out, _ := session(t, "")
	if err := term.table([][]string{{"NAME"}, {"a\x1b[2Jb\u202ec\nd"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\u202e") || strings.Count(got, "\n") != 2 {
		t.Errorf("got %q", got)
	}
}

func TestRedactorTakesEverySpellingOut(t *testing.T) {
	var r redactor
	r.hide("postgres://ada:p%40ss word@db/app?sslpassword=other-secret")
	for _, text := range []string{
		"cannot parse `postgres://ada:p%40ss word@db/app?sslpassword=other-secret`",
		"invalid character in \"p@ss word\"", "p%40ss+word", "p%40ss%20word", "key other-secret",
		"dial postgres://someone:else-secret@db", "host=db password=else-secret user=ada", "PASSWORD='else-secret' x",
	} {
		got := r.redact(text)
		for _, secret := range []string{"p@ss", "p%40ss", "other-secret", "else-secret"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q leaves %q", text, got)
			}
		}
	}
	if got := r.redact("plain text: http://a.example/x"); got != "plain text: http://a.example/x" {
		t.Errorf("got %q", got)
	}
	var short redactor
	short.hide("postgres://ada:a@db/app")
	if got := short.redact("a database at postgres://ada:a@db/app"); got != "a database at ***" {
		t.Errorf("got %q", got)
	}
}
