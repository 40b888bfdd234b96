package main

import (
	"encoding/json"
	"net/http"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// apiNotes is the API that partners call. Protect has verified the token, so
// the subject is one of our user ids.
func (a *app) apiNotes(w http.ResponseWriter, r *http.Request) {
	token, ok := lockspire.TokenFrom(r.Context())
	if !ok {
		http.Error(w, "not reached through Protect", http.StatusInternalServerError)
		return
	}
	notes, err := notesOf(r.Context(), a.db, token.Subject)
	if err != nil {
		serverError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(notes)
}
