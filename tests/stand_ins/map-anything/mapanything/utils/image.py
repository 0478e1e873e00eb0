def preprocess_inputs(input_views):
    """Views with img (H, W, 3) in 0..255 to views with img (1, 3, H, W), normalised."""
    for view in input_views:
        assert view["img"].shape[-1] == 3
    return [{"img": view["img"].permute(2, 0, 1)[None].float() / 255} for view in input_views]
