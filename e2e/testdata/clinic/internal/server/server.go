// Package server is the clinic's web app.
package server

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/clinic/internal/session"
)

// Server is the app.
type Server struct {
	pool   *pgxpool.Pool
	router chi.Router
}

// New returns the app on pool.
func New(pool *pgxpool.Pool) *Server {
	s := &Server{pool: pool}
	s.routes()
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

func (s *Server) routes() {
	s.router = chi.NewRouter()
	s.router.Use(middleware.RequestID)
	s.router.Get("/signin", session.Show)
	s.router.Post("/signin", session.Login)
	s.router.Get("/*", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("the clinic")) })
}
