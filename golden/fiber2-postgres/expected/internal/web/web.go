// Package web serves the site.
package web

import (
	"database/sql"

	"github.com/gofiber/fiber/v2"

	"example.com/feed/internal/accounts"
	"example.com/feed/internal/authserver"
)

// New returns the whole site on db.
func New(db *sql.DB) (*fiber.App, error) {
	if err := db.Ping(); err != nil {
		return nil, err
	}
	app := fiber.New()
	app.Use(loadSession)
	app.Get("/login", func(c *fiber.Ctx) error {
		return c.Type("html").SendString(accounts.Form(c.Query("return_to"), c.Query("interaction_id")))
	})
	app.Post("/login", login)
	app.Get("/notes/:id", func(c *fiber.Ctx) error { return c.SendString("note " + c.Params("id")) })
	api := app.Group("/api", requireUser)
	api.Get("/notes", func(c *fiber.Ctx) error { return c.SendString("[]") })
	if _, err := authserver.Mount(app, authserver.Host{DB: db}); err != nil {
		return nil, err
	}
	app.Use(func(c *fiber.Ctx) error { return c.SendString("everything else") })
	return app, nil
}

func loadSession(c *fiber.Ctx) error {
	c.SetUserContext(accounts.Load(c.UserContext(), c.Cookies(accounts.Cookie)))
	return c.Next()
}

func requireUser(c *fiber.Ctx) error {
	if _, ok := accounts.From(c.UserContext()); !ok {
		return fiber.ErrUnauthorized
	}
	return c.Next()
}

func login(c *fiber.Ctx) error {
	cookie, ok := accounts.SignIn(c.FormValue("name"), c.FormValue("password"))
	if !ok {
		return fiber.ErrUnauthorized
	}
	c.Cookie(&fiber.Cookie{Name: accounts.Cookie, Value: cookie, Path: "/", HTTPOnly: true})
	return c.Redirect(accounts.Next(c.FormValue("return_to")), fiber.StatusSeeOther)
}
