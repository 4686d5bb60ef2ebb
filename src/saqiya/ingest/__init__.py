"""Files of any known format and a table of trials become episodes, claims and rejections."""
