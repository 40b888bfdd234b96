package install

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lockspire/lockspire/internal/plan"
)

// confirm asks whether to write the plan. Where nobody can answer, the question is an error that names the flag.
func (j *job) confirm(ctx context.Context) error {
	if j.Yes {
		return ctx.Err()
	}
	if !j.IsTerminal {
		return plan.Refusals{{Exit: 3, What: wordNobodyToAsk, Next: "lockspire install --yes"}}
	}
	fmt.Fprint(j.Err, wordApplyQuestion)
	answer, err := j.answer(ctx)
	if err != nil {
		return err
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return plan.Refusals{{Exit: 1, What: wordDeclined, Next: "lockspire install"}}
	}
	return nil
}

// askRouter offers the candidates that the refusals name, and returns the one chosen as file:line, or "" for no answer
// and for an interrupt.
func (j *job) askRouter(ctx context.Context, candidates plan.Refusals) string {
	if !j.IsTerminal || j.In == nil {
		return ""
	}
	fmt.Fprintln(j.Err, wordManyRouters)
	for i, c := range candidates {
		fmt.Fprintf(j.Err, "  %d. %s:%d: %s\n", i+1, c.Path, c.Line, c.What)
	}
	fmt.Fprintf(j.Err, wordWhichRouter, len(candidates))
	answer, err := j.answer(ctx)
	n, convErr := strconv.Atoi(answer)
	if err != nil || convErr != nil || n < 1 || n > len(candidates) {
		return ""
	}
	return candidates[n-1].Path + ":" + strconv.Itoa(candidates[n-1].Line)
}

// answer reads one line, and gives up when the run is interrupted.
func (j *job) answer(ctx context.Context) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(oneByte{j.In}).ReadString('\n')
		lines <- line
	}()
	select {
	case line := <-lines:
		if !strings.HasSuffix(line, "\n") {
			fmt.Fprintln(j.Err) // the input ended behind the question
		}
		return strings.TrimSpace(line), nil
	case <-ctx.Done():
		return "", plan.Refusals{{Exit: 3, What: wordInterrupted, Next: "lockspire install"}}
	}
}

// oneByte keeps the reader from taking more than the line: the next question reads from the same input.
type oneByte struct {
	from interface{ Read([]byte) (int, error) }
}

func (r oneByte) Read(p []byte) (int, error) { return r.from.Read(p[:min(len(p), 1)]) }

// filesIn lists a directory of the host, module-relative.
func (j *job) filesIn(dir string) []string {
	entries, err := os.ReadDir(filepath.Join(j.repo.ModuleRoot, filepath.FromSlash(dir)))
	if err != nil {
		return nil
	}
	var out []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			out = append(out, path.Join(dir, entry.Name()))
		}
	}
	return out
}
