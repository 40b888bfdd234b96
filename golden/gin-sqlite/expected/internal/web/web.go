// Package web serves the site.
package web

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"example.com/shop/internal/accounts"
	"example.com/shop/internal/authserver"
)

// New returns the whole site on db.
func New(db *gorm.DB) (*gin.Engine, error) {
	if err := db.Exec("SELECT 1").Error; err != nil {
		return nil, err
	}
	r := gin.New()
	r.Use(gin.Recovery(), loadSession)

	r.GET("/login", func(c *gin.Context) {
		c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(accounts.Form(c.Query("return_to"), c.Query("interaction_id"))))
	})
	r.POST("/login", login)
	r.GET("/notes/:id", func(c *gin.Context) { c.String(http.StatusOK, "note "+c.Param("id")) })
	api := r.Group("/api", requireUser)
	{
		api.GET("/notes", func(c *gin.Context) { c.String(http.StatusOK, "[]") })
	}
	if _, err := authserver.Mount(r, authserver.Host{Gorm: db}); err != nil {
		return nil, err
	}
	r.NoRoute(func(c *gin.Context) { c.String(http.StatusOK, "everything else") })
	return r, nil
}

func loadSession(c *gin.Context) {
	if cookie, err := c.Cookie(accounts.Cookie); err == nil {
		c.Request = c.Request.WithContext(accounts.Load(c.Request.Context(), cookie))
	}
}

func requireUser(c *gin.Context) {
	if _, ok := accounts.From(c.Request.Context()); !ok {
		c.AbortWithStatus(http.StatusUnauthorized)
	}
}

func login(c *gin.Context) {
	cookie, ok := accounts.SignIn(c.PostForm("name"), c.PostForm("password"))
	if !ok {
		c.String(http.StatusUnauthorized, "wrong password")
		return
	}
	http.SetCookie(c.Writer, &http.Cookie{Name: accounts.Cookie, Value: cookie, Path: "/", HttpOnly: true})
	c.Redirect(http.StatusSeeOther, accounts.Next(c.PostForm("return_to")))
}
