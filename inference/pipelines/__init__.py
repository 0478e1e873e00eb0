"""The stock diffusers pipelines, told where objects are to move and what they look like."""
