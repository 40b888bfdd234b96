// Package web serves the site.
package web

import (
	"database/sql"
	"net/http"

	"github.com/labstack/echo/v4"

	"example.com/desk/internal/accounts"
)

// New returns the whole site on db.
func New(db *sql.DB) *echo.Echo {
	e := echo.New()
	e.Use(loadSession)
	e.GET("/login", func(c echo.Context) error {
		return c.HTML(http.StatusOK, accounts.Form(c.QueryParam("return_to"), c.QueryParam("interaction_id")))
	})
	e.POST("/login", login)
	e.GET("/notes/:id", func(c echo.Context) error { return c.String(http.StatusOK, "note "+c.Param("id")) })
	api := e.Group("/api", requireUser)
	api.GET("/notes", func(c echo.Context) error { return c.String(http.StatusOK, "[]") })
	e.Any("/*", func(c echo.Context) error { return c.String(http.StatusOK, "everything else") })
	return e
}

func loadSession(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if cookie, err := c.Cookie(accounts.Cookie); err == nil {
			c.SetRequest(c.Request().WithContext(accounts.Load(c.Request().Context(), cookie.Value)))
		}
		return next(c)
	}
}

func requireUser(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, ok := accounts.From(c.Request().Context()); !ok {
			return echo.NewHTTPError(http.StatusUnauthorized, "sign in first")
		}
		return next(c)
	}
}

func login(c echo.Context) error {
	cookie, ok := accounts.SignIn(c.FormValue("name"), c.FormValue("password"))
	if !ok {
		return c.String(http.StatusUnauthorized, "wrong password")
	}
	c.SetCookie(&http.Cookie{Name: accounts.Cookie, Value: cookie, Path: "/", HttpOnly: true})
	return c.Redirect(http.StatusSeeOther, accounts.Next(c.FormValue("return_to")))
}
