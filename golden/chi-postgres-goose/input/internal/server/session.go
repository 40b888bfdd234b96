package server

import "net/http"

func (s *Server) loadSession(next http.Handler) http.Handler { return next }

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {}

func (s *Server) home(w http.ResponseWriter, r *http.Request) {}
