def typo(t,s,r): return t
ocr=homophone=word_drop=distractor=typo
