package main

import (
	"fmt"
	"log"
	"net/http"

	lsauth "example.com/board/oauthsrv"
	"example.com/board/store"
)

func main() {
	provider, oauthsrv := "names that are", "taken here"
	if err := store.Open("board.db"); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/auth/login", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, provider, oauthsrv) })
	http.HandleFunc("/auth/v1/callback", func(w http.ResponseWriter, r *http.Request) {})
	lsauth.MustMount(http.DefaultServeMux, lsauth.Host{})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, store.Count()) })
	log.Fatal(http.ListenAndServe("localhost:8080", nil))
}
