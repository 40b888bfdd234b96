// Package server is the shop's web server.
package server

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/shop/v2/internal/authserver"
)

// Server holds what handlers need.
type Server struct {
	pool   *pgxpool.Pool
	router chi.Router
}

// New returns a server on pool.
func New(pool *pgxpool.Pool) *Server {
	s := &Server{pool: pool}
	s.routes()
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

func (s *Server) routes()   {
	s.router = chi.NewRouter( )
	s.router.Use(middleware.Recoverer)
	s.router.Use(s.loadSession) // who is signed in

	s.router.Get("/session/new", s.showLogin)
	s.router.Post("/session", s.login)
	s.router.Route("/account", func(r chi.Router) {
		r.Get("/", s.home)
	})
	authserver.MustMount(s.router, authserver.Host{Pool: s.pool})
	s.router.Get( "/*", s.home )
}
