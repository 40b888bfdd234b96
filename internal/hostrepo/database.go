package hostrepo

import (
	"go/token"
	"go/types"
)

// handlesAt lists the database handles that an expression at pos can name. A handle of a library, such as sqlx's or bun's,
// counts where it is: its accessor is part of the expression.
func handlesAt(ix *index, u *unit, f *fn, pos token.Pos) []Handle {
	var out []Handle
	for _, v := range valuesAt(ix, u, f, pos, func(v *types.Var, t types.Type) access {
		if v == nil {
			return handleOf(t)
		}
		return handleIn(ix, u, v)
	}) {
		h := Handle{Kind: v.access.kind, Library: v.access.library, Expr: v.expr + v.access.suffix, Via: v.via, Position: ix.repo.Position(v.pos)}
		out = append(out, withEngine(ix, h, v.v))
	}
	return out
}
