package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"log"
	"net/http"
)

var (
	//go:embed page.html
	pageText string
	//go:embed style.css
	styleText []byte

	page = template.Must(template.New("page").Parse(pageText))
)

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Write(styleText)
}

func render(w http.ResponseWriter, v *visit) {
	var out bytes.Buffer
	if err := page.Execute(&out, v); err != nil {
		log.Print(err)
		http.Error(w, "the page could not be shown", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	out.WriteTo(w)
}
