package dlp

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"
)

// TestScreenshotsPass asserts that a picture of few colours, which unpacks to a
// hundred times its length, is neither refused nor dear.
func TestScreenshotsPass(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 1600, 1000))
	for i := range img.Pix {
		img.Pix[i] = 0xff
		if i%4 < 3 {
			// Colours that are characters of base64, whose text is base64 too.
			const colours = "Vm0wd2QyUXlVWGxWV0d4V1YwZDRWMVl3WkRSV01WbDNXa1JTVjAxV2JETlhhMUpUVmpBeFYySkVUbGhoTVVwVVZtcEJl"
			img.Pix[i] = colours[(i/4%1600/40*3+i%4)%len(colours)]
		}
	}
	for x := range 1600 {
		img.Set(x, x%1000, color.Black)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	s, work := New([]string{canary}), 0
	s.worked = func(n int) { work = n }
	body := `{"type":"image","data":"` + std64(b.String()) + `"}`
	if _, hits, err := s.Body(body0("application/json", body)); err != nil || len(hits) > 0 {
		t.Errorf("%v %v", hits, err)
	}
	if work > 8*len(body) {
		t.Errorf("%d bytes of work for %d", work, len(body))
	}
}
