package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// node is one JSON value with the line it stands on. encoding/json alone
// would lose three things this file needs: the line of a wrong value, a key
// that appears twice (a merge gone wrong), and fields this version does not
// know.
type node struct {
	line    int
	scalar  any // string, json.Number, bool or nil; unused for the two below
	members []member
	items   []*node
	kind    byte // '{', '[' or 's' for a scalar
}

type member struct {
	key   string
	value *node
}

// get returns the value of key in an object, or nil.
func (n *node) get(key string) *node {
	for _, m := range n.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// text returns the string value of a scalar; ok is false for anything else.
func (n *node) text() (string, bool) {
	if n == nil {
		return "", false
	}
	s, ok := n.scalar.(string)
	return s, ok
}

// lineError is a fault of the text, at a line that counts from 1.
type lineError struct {
	line int
	what string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// maxDepth is far above what a manifest nests.
const maxDepth = 100

// parseJSON reads one JSON value and nothing after it.
func parseJSON(data []byte) (*node, error) {
	p := &parser{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	p.dec.UseNumber()
	root, err := p.value(0)
	if err != nil {
		return nil, p.locate(err)
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return nil, p.at(p.dec.InputOffset(), "there is more text after the end of the JSON value")
	}
	return root, nil
}

type parser struct {
	data []byte
	dec  *json.Decoder
	// line is the line of the byte at offset; both only move forward.
	line   int
	offset int64
}

// lineAt returns the line of the byte at offset.
func (p *parser) lineAt(offset int64) int {
	offset = min(offset, int64(len(p.data)))
	if offset > p.offset {
		p.line += bytes.Count(p.data[p.offset:offset], []byte("\n"))
		p.offset = offset
	}
	return p.line
}

func (p *parser) at(offset int64, format string, args ...any) *lineError {
	return &lineError{p.lineAt(offset), fmt.Sprintf(format, args...)}
}

// locate gives an error of the decoder the line it happened on.
func (p *parser) locate(err error) error {
	var placed *lineError
	if errors.As(err, &placed) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return p.at(int64(len(p.data)), "the file ends in the middle of the JSON value")
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return p.at(max(p.dec.InputOffset(), syntax.Offset-1), "not JSON: %v", err)
	}
	return p.at(p.dec.InputOffset(), "not JSON: %v", err)
}

func (p *parser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, p.at(p.dec.InputOffset(), "values are nested more than %d deep", maxDepth)
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: p.lineAt(p.dec.InputOffset()), kind: 's', scalar: token}
	switch token {
	case json.Delim('{'):
		n.kind, n.scalar = '{', nil
		err = p.object(n, depth)
	case json.Delim('['):
		n.kind, n.scalar = '[', nil
		for err == nil && p.dec.More() {
			var item *node
			if item, err = p.value(depth + 1); err == nil {
				n.items = append(n.items, item)
			}
		}
		if err == nil {
			_, err = p.dec.Token() // the closing bracket
		}
	}
	return n, err
}

func (p *parser) object(n *node, depth int) error {
	seen := map[string]int{}
	for p.dec.More() {
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return p.at(p.dec.InputOffset(), "an object key is not a string")
		}
		line := p.lineAt(p.dec.InputOffset())
		if first, again := seen[key]; again {
			return &lineError{line, fmt.Sprintf("key %q is here twice, first on line %d", key, first)}
		}
		seen[key] = line
		value, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{key, value})
	}
	_, err := p.dec.Token() // the closing brace
	return err
}

// write prints n with sorted keys, two spaces of indentation and one value a
// line, so that two branches that touch different files touch different lines.
func (n *node) write(out *bytes.Buffer, indent string) {
	inner := indent + "  "
	switch {
	case n.kind == '{' && len(n.members) > 0:
		members := append([]member(nil), n.members...)
		sort.Slice(members, func(i, j int) bool { return members[i].key < members[j].key })
		for i, m := range members {
			out.WriteString(opening(i, "{") + inner + quote(m.key) + ": ")
			m.value.write(out, inner)
		}
		out.WriteString("\n" + indent + "}")
	case n.kind == '{':
		out.WriteString("{}")
	case n.kind == '[' && len(n.items) > 0:
		for i, item := range n.items {
			out.WriteString(opening(i, "[") + inner)
			item.write(out, inner)
		}
		out.WriteString("\n" + indent + "]")
	case n.kind == '[':
		out.WriteString("[]")
	default:
		out.WriteString(quote(n.scalar))
	}
}

func opening(i int, bracket string) string {
	if i == 0 {
		return bracket + "\n"
	}
	return ",\n"
}

// quote prints a scalar as JSON, without the HTML escapes that would make
// "<" unreadable in a diff.
func quote(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// A string, json.Number, bool or nil always encodes.
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// toNode turns any value that encoding/json can print into a node.
func toNode(v any) (*node, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return parseJSON(data)
}

func object(members ...member) *node { return &node{kind: '{', members: members} }

func str(s string) *node { return &node{kind: 's', scalar: s} }
