package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// Baseline lists findings that a team knows and has put off. They pass; a new one fails.
type Baseline struct {
	File    string // as findings name it
	entries []known
}

// known is one finding of the list. Rule, file and message are for the reader; the fingerprint decides.
type known struct {
	Rule        string `json:"rule"`
	File        string `json:"file"`
	Message     string `json:"message"`
	Reason      string `json:"reason"`
	Fingerprint string `json:"fingerprint"`

	line int
}

type baselineFile struct {
	Schema   int     `json:"schema"`
	Findings []known `json:"findings"`
}

const baselineSchema = 1

// ParseBaseline reads a baseline. name is the path that findings and refusals give for it.
func ParseBaseline(name string, data []byte) (*Baseline, error) {
	refuse := func(line int, format string, args ...any) error {
		return &plan.Refusal{Exit: 3, Path: name, Line: line, What: "the baseline cannot be read: " + fmt.Sprintf(format, args...),
			Next: "git checkout -- " + name}
	}
	var file baselineFile
	if err := json.Unmarshal(data, &file); err != nil {
		line := 1
		if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
			line = lineAt(data, syntax.Offset)
		}
		return nil, refuse(line, "%v", err)
	}
	if file.Schema != baselineSchema {
		return nil, refuse(0, "its schema is %d, and this version of lockspire knows %d", file.Schema, baselineSchema)
	}
	for i := range file.Findings {
		k := &file.Findings[i]
		if k.Fingerprint == "" {
			return nil, refuse(0, "entry %d has no fingerprint", i+1)
		}
		k.line = lineAt(data, int64(bytes.Index(data, []byte(k.Fingerprint))))
	}
	return &Baseline{File: name, entries: file.Findings}, nil
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

// Accept marks the findings that b lists, and reports what b lists and nothing finds any more. That is for information:
// to mend something must never fail a build.
func (r *Report) Accept(b *Baseline) {
	found := map[string]*Finding{}
	for i := range r.Findings {
		found[r.Findings[i].Fingerprint] = &r.Findings[i]
	}
	var gone []Finding
	for _, k := range b.entries {
		if f := found[k.Fingerprint]; f != nil {
			f.Known = k.Reason
			if f.Known == "" {
				f.Known = "listed in " + b.File
			}
			continue
		}
		gone = append(gone, Finding{
			Rule: badSuppression.ID, Severity: Info, Position: hostrepo.Position{File: b.File, Line: max(k.line, 1), Col: 1},
			Message:     fmt.Sprintf("%s in %s is found no more: remove it from the baseline", k.Rule, k.File),
			Fix:         "lockspire verify --baseline " + b.File + " --write-baseline",
			Fingerprint: "baseline:" + k.Fingerprint,
		})
	}
	r.Findings = append(r.Findings, gone...)
	r.sort()
}

// NewBaseline lists what is found now and no comment accepts, with the reasons that old gives; old may be nil. The bytes
// are sorted by file and rule and hold no line numbers, so that two branches merge.
func (r Report) NewBaseline(old *Baseline) ([]byte, int, error) {
	reasons := map[string]string{}
	if old != nil {
		for _, k := range old.entries {
			reasons[k.Fingerprint] = k.Reason
		}
	}
	list := []known{}
	for _, f := range r.Findings {
		if f.Suppressed != "" || strings.HasPrefix(f.Fingerprint, "baseline:") {
			continue
		}
		list = append(list, known{Rule: f.Rule, File: f.File, Message: f.Message, Fingerprint: f.Fingerprint, Reason: reasons[f.Fingerprint]})
	}
	slices.SortFunc(list, func(a, b known) int {
		for _, c := range []int{strings.Compare(a.File, b.File), strings.Compare(a.Rule, b.Rule)} {
			if c != 0 {
				return c
			}
		}
		return strings.Compare(a.Fingerprint, b.Fingerprint)
	})
	var out bytes.Buffer
	if err := writeJSON(&out, baselineFile{baselineSchema, list}); err != nil {
		return nil, 0, fmt.Errorf("write the baseline: %w", err)
	}
	return out.Bytes(), len(list), nil
}

// Name is how findings call a file that the command line names: from the module's root where it lies below, else as it
// was given.
func (r Report) Name(file string) string {
	if abs, err := filepath.Abs(file); err == nil {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
			abs = filepath.Join(dir, filepath.Base(abs))
		}
		root, err := filepath.EvalSymlinks(r.root)
		if rel, relErr := filepath.Rel(root, abs); err == nil && relErr == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
	}
	return filepath.ToSlash(file)
}
