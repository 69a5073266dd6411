package report

import (
	"fmt"
	"html"
	"html/template"
	"strings"
)

// chart is a plot of a few series over common axes, drawn as SVG. Colors come from the
// page's style sheet, so that it is legible on light and dark backgrounds.
type chart struct {
	title          string
	xLabel, yLabel string
	x, y           scale
	series         []series
}

type point struct{ x, y float64 }

// series is a line, or an area under one.
type series struct {
	name   string
	colour int // number of a colour of the style sheet
	area   bool
	points []point
}

const (
	width, height                    = 560, 280
	left, right, top, bottom         = 64, 12, 10, 42
	plotWidth, plotHeight    float64 = width - left - right, height - top - bottom
)

func (c chart) svg() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(c.title))
	c.drawAxes(&b)
	for _, s := range c.series {
		c.drawSeries(&b, s)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

func (c chart) drawAxes(b *strings.Builder) {
	for _, t := range c.x.ticks {
		x := c.px(t.at)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, x, top, x, height-bottom)
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`, x, height-bottom+16, html.EscapeString(t.label))
	}
	for _, t := range c.y.ticks {
		y := c.py(t.at)
		fmt.Fprintf(b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`, left, y, width-right, y)
		fmt.Fprintf(b, `<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`, left-6, y+4, html.EscapeString(t.label))
	}
	fmt.Fprintf(b, `<text class="label" x="%.1f" y="%d" text-anchor="middle">%s</text>`, left+plotWidth/2, height-6, html.EscapeString(c.xLabel))
	fmt.Fprintf(b, `<text class="label" transform="translate(14 %.1f) rotate(-90)" text-anchor="middle">%s</text>`, top+plotHeight/2, html.EscapeString(c.yLabel))
}

func (c chart) drawSeries(b *strings.Builder, s series) {
	if len(s.points) == 0 {
		return
	}
	path := c.path(s.points)
	class := "line"
	if s.area {
		class = "area"
		floor := c.py(c.y.min)
		path += fmt.Sprintf("L%.1f %.1fL%.1f %.1fZ", c.px(s.points[len(s.points)-1].x), floor, c.px(s.points[0].x), floor)
	}
	fmt.Fprintf(b, `<path class="%s c%d" d="%s"><title>%s</title></path>`, class, s.colour, path, html.EscapeString(s.name))
	if !s.area && len(s.points) <= maxDots {
		c.drawDots(b, s)
	}
}

// maxDots is the number of points up to which a line shows each of them, with its value.
const maxDots = 8

func (c chart) drawDots(b *strings.Builder, s series) {
	for _, p := range s.points {
		fmt.Fprintf(b, `<circle class="dot c%d" cx="%.1f" cy="%.1f" r="3"><title>%s: %s at %s</title></circle>`,
			s.colour, c.px(p.x), c.py(p.y), html.EscapeString(s.name), number(p.y), number(p.x))
	}
}

func (c chart) path(points []point) string {
	var b strings.Builder
	verb := byte('M')
	for _, p := range points {
		fmt.Fprintf(&b, "%c%.1f %.1f", verb, c.px(p.x), c.py(p.y))
		verb = 'L'
	}
	return b.String()
}

func (c chart) px(x float64) float64 { return left + plotWidth*c.x.unit(x) }

func (c chart) py(y float64) float64 { return top + plotHeight*(1-c.y.unit(y)) }
