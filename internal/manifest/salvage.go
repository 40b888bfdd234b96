package manifest

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/lockspire/lockspire/internal/plan"
)

// Salvage reads what is left of a manifest that may be missing or broken: the one
// manifest, both sides of a merge that git could not settle, or nothing. What
// cannot be read safely, or was written by a newer version, is an error as it is
// for [Read].
func Salvage(root string) ([]*Manifest, error) {
	data, err := readFile(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*Manifest
	for _, text := range sides(data) {
		m, err := Parse(text)
		if refusals, ok := plan.AsRefusals(err); ok && refusals.ExitCode() == 3 {
			return nil, err
		}
		if err != nil {
			continue // this side is broken by itself
		}
		if err := m.checkLinks(root, text); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// sides are the two texts that a file with git's conflict markers was made from,
// or the file itself. The base that diff3 style shows belongs to neither.
func sides(data []byte) [][]byte {
	var ours, theirs bytes.Buffer
	const both, first, base, second = 0, 1, 2, 3
	at, marked := both, false
	for _, line := range bytes.SplitAfter(data, []byte("\n")) {
		switch {
		case bytes.HasPrefix(line, []byte("<<<<<<<")):
			at, marked = first, true
			continue
		case bytes.HasPrefix(line, []byte("|||||||")):
			at = base
			continue
		case bytes.HasPrefix(line, []byte("=======")) && at != both:
			at = second
			continue
		case bytes.HasPrefix(line, []byte(">>>>>>>")):
			at = both
			continue
		}
		if at == both || at == first {
			ours.Write(line)
		}
		if at == both || at == second {
			theirs.Write(line)
		}
	}
	if !marked {
		return [][]byte{data}
	}
	return [][]byte{ours.Bytes(), theirs.Bytes()}
}
