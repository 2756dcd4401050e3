package catalogfile

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// maxMergedKeys bounds what the merge keys of one mapping unfold to.
const maxMergedKeys = 5_000

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	keyAt ast.Node
	value ast.Node
}

// trouble is a problem of a mapping itself.
type trouble struct {
	at      ast.Node
	key     string // the key it is about, if any
	message string
}

// entries lists the keys of a mapping: its own in their order, then those that merge keys add.
// A key counts once; later ones are in the list of troubles.
func (d *document) entries(n ast.Node) ([]entry, []trouble) {
	c := &entryCollector{doc: d, seen: map[string]entry{}}
	c.collect(n, false, 0)
	return c.out, c.bad
}

type entryCollector struct {
	doc  *document
	work int
	seen map[string]entry
	out  []entry
	bad  []trouble
}

func (c *entryCollector) fail(at ast.Node, key, format string, args ...any) {
	c.bad = append(c.bad, trouble{at: at, key: key, message: fmt.Sprintf(format, args...)})
}

func (c *entryCollector) collect(n ast.Node, merged bool, depth int) {
	if !c.mayMerge(n, depth) {
		return
	}
	var merges []*ast.MappingValueNode
	for _, pair := range pairs(n) {
		if pair.Key == nil {
			continue
		}
		if pair.Key.IsMergeKey() {
			merges = append(merges, pair)
			continue
		}
		c.add(pair, merged)
	}
	for _, pair := range merges {
		c.merge(pair.Value, depth)
	}
}

// mayMerge counts one unfolding. It stops, with one problem, what would not end.
func (c *entryCollector) mayMerge(n ast.Node, depth int) bool {
	if c.work > maxMergedKeys {
		return false
	}
	c.work += 1 + len(pairs(n))
	if depth == 0 || depth <= maxDepth && c.work <= maxMergedKeys {
		return true
	}
	c.work = maxMergedKeys + 1
	c.fail(n, "", "merge keys refer to each other in a circle, or unfold to more than %d keys", maxMergedKeys)
	return false
}

func (c *entryCollector) add(pair *ast.MappingValueNode, merged bool) {
	key, ok := keyText(pair.Key)
	if !ok {
		c.fail(pair.Key, "", "a key must be a plain word")
		return
	}
	first, twice := c.seen[key]
	switch {
	case !twice:
		e := entry{key: key, keyAt: pair.Key, value: pair.Value}
		c.seen[key] = e
		c.out = append(c.out, e)
	case !merged:
		line, _ := position(first.keyAt)
		c.fail(pair.Key, key, "given twice, first on line %d; keep one of them", line)
	default: // a key of its own wins over a merged one, an earlier merge over a later one
	}
}

func (c *entryCollector) merge(n ast.Node, depth int) {
	value, problem := c.doc.resolve(n)
	if problem != "" {
		c.fail(n, "", "%s", problem)
		return
	}
	switch v := value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		c.collect(value, true, depth+1)
	case *ast.SequenceNode:
		for _, item := range v.Values {
			if c.mayMerge(n, depth) {
				c.merge(item, depth+1)
			}
		}
	default:
		c.fail(n, "", "<< takes an alias of a mapping, or a list of them")
	}
}

func pairs(n ast.Node) []*ast.MappingValueNode {
	switch v := n.(type) {
	case *ast.MappingNode:
		return v.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{v}
	default:
		return nil
	}
}

// keyText returns the text of a key. Numbers and the like are taken as they are written:
// which keys exist is for the schema to say.
func keyText(key ast.MapKeyNode) (string, bool) {
	switch v := key.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return v.GetToken().Value, true
	case *ast.MappingKeyNode:
		inner, ok := v.Value.(ast.MapKeyNode)
		if !ok {
			return "", false
		}
		return keyText(inner)
	default:
		return "", false
	}
}
