package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// InputChange is one recorded input that has another value from now on.
type InputChange struct {
	// Key is as in the manifest.
	Key string
	// Old and New are for people; "" for none.
	Old, New string
	// Why says where the new value comes from.
	Why string
}

// facts is what became of the inputs.
type facts struct {
	changes []InputChange
	// baseline are the host's compile errors, nil where it was not loaded.
	baseline *plan.Baseline
	mounts   []hostrepo.Mount
}

// chosenInputs are the recorded inputs with what was asked for and what was found
// to be different in the host. What was asked for wins.
func chosenInputs(ctx context.Context, o Options, root string, m *manifest.Manifest) (json.RawMessage, facts, error) {
	var f facts
	values := map[string]json.RawMessage{}
	if err := json.Unmarshal(m.Inputs, &values); err != nil {
		return nil, f, &plan.Refusal{Exit: 1, Path: manifest.Path, What: fmt.Sprintf("the recorded inputs do not read: %v", err), Next: "git log -p -- " + manifest.Path}
	}
	asked, err := parseSet(o.Set, m)
	if err != nil {
		return nil, f, err
	}
	for _, key := range slices.Sorted(maps.Keys(asked)) {
		f.put(values, key, asked[key], "--set")
	}
	if len(f.changes) > 0 {
		o.Progress("setting " + f.changes[0].Key)
	}
	found, err := o.Detect(ctx, root, o, mustJSON(values), slices.Collect(maps.Keys(asked)))
	if err != nil {
		return nil, f, err
	}
	f.baseline, f.mounts = found.Baseline, found.Mounts
	for _, key := range slices.Sorted(maps.Keys(found.Values)) {
		f.put(values, key, mustJSON(found.Values[key]), found.Why[key])
	}
	if len(f.changes) == 0 {
		return m.Inputs, f, nil
	}
	return mustJSON(values), f, nil
}

// put sets one value and remembers that it is another one.
func (f *facts) put(values map[string]json.RawMessage, key string, value json.RawMessage, why string) {
	old := values[key]
	if old != nil && bytes.Equal(bytes.TrimSpace(old), bytes.TrimSpace(value)) || old == nil && string(value) == `""` {
		return
	}
	if string(value) == `""` {
		delete(values, key) // as install records an input without a value
	} else {
		values[key] = value
	}
	f.changes = append(f.changes, InputChange{Key: key, Old: unquoted(old), New: unquoted(value), Why: why})
}

func unquoted(value json.RawMessage) string {
	var s string
	if err := json.Unmarshal(value, &s); err == nil {
		return s
	}
	return string(value)
}

// mustJSON prints what can always be printed: strings, numbers, and maps of them.
func mustJSON(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// fixed are the inputs that no flag may change, with the reason.
var fixed = map[string]string{
	"module": "the module path is what go.mod says",
}

// tied are the inputs that the migrations which are there were written for.
var tied = []string{"engine", "schema"}

// parseSet reads key=value pairs; a key may be spelled as the flag of install.
func parseSet(sets []string, m *manifest.Manifest) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	kinds := inputKinds()
	var refusals plan.Refusals
	refuse := func(exit int, what, next string) {
		refusals = append(refusals, &plan.Refusal{Exit: exit, What: what, Next: next})
	}
	for _, set := range sets {
		key, value, ok := strings.Cut(set, "=")
		key = strings.ReplaceAll(strings.TrimSpace(key), "-", "_")
		kind, known := kinds[key]
		switch {
		case !ok:
			refuse(2, "--set "+set+" has no =", "lockspire upgrade --set "+set+"=<value>")
			continue
		case !known:
			refuse(2, "--set "+set+": there is no input "+key, "lockspire upgrade --set <key>=<value>    # keys: "+strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
			continue
		case fixed[key] != "":
			refuse(2, "--set "+set+": "+fixed[key], "go mod edit -module "+value)
			continue
		case slices.Contains(tied, key) && len(m.Migrations) > 0:
			refuse(1, "--set "+set+": the migrations that are there were written for another "+key+", and are never written again",
				"git log -p -- "+m.Migrations[0].Path)
			continue
		}
		parsed, err := parseValue(key, value, kind)
		if err != nil {
			refuse(2, "--set "+set+": "+err.Error(), "lockspire upgrade --set "+key+"=<value>")
			continue
		}
		out[key] = parsed
	}
	return out, refusals.Err()
}

// inputKinds are the keys of recorded inputs and what their values are.
func inputKinds() map[string]reflect.Kind {
	kinds := map[string]reflect.Kind{}
	t := reflect.TypeFor[templates.Inputs]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		kinds[name] = t.Field(i).Type.Kind()
	}
	return kinds
}

func parseValue(key, value string, kind reflect.Kind) (json.RawMessage, error) {
	switch kind {
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", value)
		}
		return mustJSON(b), nil
	case reflect.Int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", value)
		}
		return mustJSON(n), nil
	}
	if key == "mount_path" {
		normal, err := templates.NormalMountPath(value)
		return mustJSON(normal), err
	}
	return mustJSON(value), nil
}
