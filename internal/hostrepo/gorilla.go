package hostrepo

import (
	"go/ast"
	"go/types"
	"strings"
)

// addChain reads a route of gorilla/mux, which begins with a method of the router and says path, methods, host and handler
// in any order: r.PathPrefix("/").Methods("GET").Handler(h). c is the first call of the chain. A chain that ends in
// Subrouter is no route but a group, which package trace follows; one without a handler answers nothing.
func (rs *registrations) addChain(o origin, c *call, on ast.Expr) {
	r := Route{Position: rs.ix.repo.Position(c.expr.Pos()), Known: !o.unknown, Group: o.group}
	reg := registration{call: c, group: o.group, via: o.via, on: on, own: o.key()}
	host, path := "", ""
	for link := c; link != nil; link = rs.ix.outer[link.expr] {
		sel, ok := ast.Unparen(link.expr.Fun).(*ast.SelectorExpr)
		if !ok {
			break
		}
		args := link.expr.Args
		text := func() string {
			if len(args) == 0 {
				return ""
			}
			s, known := constString(link.unit, args[0])
			if !known {
				r.Known = false
				return types.ExprString(args[0])
			}
			return s
		}
		switch sel.Sel.Name {
		case "Subrouter":
			return
		case "Handle", "HandleFunc":
			path += text()
			if len(args) > 1 {
				reg.handler = args[1]
			}
		case "Path":
			path += text()
		case "PathPrefix":
			path += text()
			r.Subtree = true
		case "Host":
			host = text()
		case "Methods":
			if len(args) == 1 {
				r.Method = strings.ToUpper(text())
			}
		case "Handler", "HandlerFunc":
			if len(args) > 0 {
				reg.handler = args[0]
			}
		}
	}
	if reg.handler == nil {
		return
	}
	if path == "" {
		path, r.Subtree = "/", true // a matcher of something else than the path
	}
	r.Subtree = r.Subtree || strings.HasSuffix(path, ":.*}") || strings.HasSuffix(path, ":.+}")
	r.Pattern = host + o.prefix + path
	reg.route = r
	rs.byOn[o.key()] = append(rs.byOn[o.key()], reg)
}
