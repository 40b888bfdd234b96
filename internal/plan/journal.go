package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The layout below .lockspire, all of it ignored by git:
//
//	lock                        held while a run writes; gone afterwards
//	txn/<id>/dirs.json          directories this run makes, written before they are made
//	txn/<id>/new/<n>            new bytes, each synced before the commit point
//	txn/<id>/old/<n>            the file that will be replaced (a hard link)
//	txn/<id>/journal.json       its appearance under this name is the commit point
//	txn/<id>/gone/<n>           a deleted file, moved aside
//	txn/<id>/late/<n>-<name>    an edit made between commit and recovery
//	undo/<id>/                  the whole of txn/<id> once everything is in place
//
// Before the commit point nothing of the host has changed but empty directories.
// After it only renames follow, and whoever comes next rolls them forward.
const (
	stateDir    = ".lockspire"
	journalFile = "journal.json"
	dirsFile    = "dirs.json"
)

// journal lists what a committed run does, in order.
type journal struct {
	Layout  int     `json:"layout"`         // of this file; 1
	Undo    bool    `json:"undo,omitempty"` // takes back another run and cannot be undone itself
	Entries []entry `json:"entries"`
}

// entry is one file. Its staged bytes are new/<index> and old/<index>.
type entry struct {
	Path string      `json:"path"`
	Old  string      `json:"old,omitempty"` // SHA-256 before; "" means there was no file
	New  string      `json:"new,omitempty"` // SHA-256 after; "" means the file is deleted
	Mode fs.FileMode `json:"mode,omitempty"`
}

// txn is one transaction directory.
type txn struct {
	disk
	root string
	id   string
}

func (t txn) dir() string { return filepath.Join(t.root, stateDir, "txn", t.id) }

func (t txn) file(kind string, i int) string {
	return filepath.Join(t.dir(), kind, fmt.Sprintf("%04d", i))
}

func (t txn) target(path string) string { return filepath.Join(t.root, filepath.FromSlash(path)) }

func digest(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// digestFile is the digest of a file on disk, "" when there is none.
func digestFile(name string) (string, error) {
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return digest(append([]byte{}, data...)), nil
}

// readJournal reads dir/journal.json and checks it before it is acted on: the
// directory is in the host's repository, where anybody can put a file.
func readJournal(root, dir string) (journal, error) {
	var j journal
	name := filepath.Join(dir, journalFile)
	data, err := os.ReadFile(name)
	if err != nil {
		return j, err
	}
	damaged := func(why string) error {
		rel, _ := filepath.Rel(root, name)
		return &Refusal{Exit: 3, Path: filepath.ToSlash(rel), What: "the journal of an earlier run cannot be used: " + why,
			Next: "git status\nrm -r " + filepath.ToSlash(filepath.Dir(rel))}
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return j, damaged(err.Error())
	}
	if j.Layout != 1 {
		return j, damaged(fmt.Sprintf("layout %d is not one this version knows", j.Layout))
	}
	for _, e := range j.Entries {
		if why := badPath(e.Path); why != "" {
			return j, damaged(fmt.Sprintf("%q %s", e.Path, why))
		}
	}
	return j, nil
}

// badPath says why a plan must not touch path, or "".
func badPath(path string) string {
	inside := path
	if isVendor(path) {
		inside = strings.TrimLeft(path, "./")
	}
	switch {
	case path == "" || strings.Contains(path, `\`) || strings.ContainsRune(path, 0):
		return "is not a slash path"
	case !filepath.IsLocal(filepath.FromSlash(inside)):
		return "leaves the module"
	case filepath.ToSlash(filepath.Clean(filepath.FromSlash(path))) != path:
		return "is not a clean path"
	case slices.Contains(strings.Split(path, "/"), ".git"):
		return "is inside .git"
	}
	for _, own := range []string{"txn", "undo", "lock"} {
		if path == stateDir+"/"+own || strings.HasPrefix(path, stateDir+"/"+own+"/") {
			return "is where the journal lives"
		}
	}
	return ""
}

// transactions are the ids below .lockspire/txn or .lockspire/undo.
func transactions(root, kind string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, stateDir, kind))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// committed reports that the transaction passed its commit point.
func (t txn) committed() bool { return exists(filepath.Join(t.dir(), journalFile)) }

// Pending reports that an earlier Apply reached its commit point and did not
// finish, or is at work just now. Read-only commands stop with exit 3 then
// ([PendingRefusal]); writing ones call [Recover].
func Pending(root string) (bool, error) {
	ids, err := transactions(root, "txn")
	if err != nil {
		return false, fmt.Errorf("look for an interrupted run: %w", err)
	}
	return slices.ContainsFunc(ids, func(id string) bool { return txn{root: root, id: id}.committed() }), nil
}

// PendingRefusal is what a read-only command says over a pending journal.
// command is the writing command that would finish it, such as "lockspire install".
func PendingRefusal(command string) *Refusal {
	return &Refusal{Exit: 3, Path: stateDir + "/txn",
		What: "an earlier run was interrupted while it wrote; the tree is between two states until it is finished",
		Next: command}
}
