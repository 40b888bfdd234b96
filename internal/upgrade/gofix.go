package upgrade

import (
	"bytes"
	"regexp"
	"strings"
)

var countingLoop = regexp.MustCompile(`for (\w+) := 0; (\w+) < ([^;{]+); (\w+)\+\+ \{`)

// modern is a text after the rewrites of go fix that can be told from it line by
// line: any for interface{}, and a range over a number for a counting loop.
func modern(text []byte) []byte {
	s := strings.ReplaceAll(string(plain(text)), "interface{}", "any")
	s = countingLoop.ReplaceAllStringFunc(s, func(loop string) string {
		m := countingLoop.FindStringSubmatch(loop)
		if m[1] != m[2] || m[1] != m[4] {
			return loop
		}
		return "for " + m[1] + " := range " + strings.TrimSpace(m[3]) + " {"
	})
	return []byte(s)
}

// fixedByGo reports that an edit is nothing but such rewrites, which a person did
// not decide on file by file.
func fixedByGo(base, disk []byte) bool {
	return !bytes.Equal(plain(base), plain(disk)) && bytes.Equal(modern(base), modern(disk))
}
